// Anthropic messages: a stream of named events as Claude sends them, and a whole reply.
#ifndef ANTHROPIC_H
#define ANTHROPIC_H

#include "wire.h"

#define EVENT(name, fields) "event: " name "\ndata: {\"type\":\"" name "\"" fields "}\n\n"

#define MESSAGE_START \
    "{\"id\":\"msg_01BenchmarkBenchmarkBench01\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":"

#define INPUT_USAGE \
    "\"usage\":{\"input_tokens\":31,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"

#define ALL_USAGE(output) \
    INPUT_USAGE "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":" output \
                ",\"service_tier\":\"standard\"}"

#define MESSAGE_REQUEST \
    "{\"model\":\"%s\",\"max_tokens\":512,\"system\":\"You are a helpful assistant that answers briefly and precisely.\"," \
    "\"messages\":[{\"role\":\"user\",\"content\":\"Explain in a few sentences what an LLM gateway is and why somebody would put " \
    "one between their application and the model providers.\"}],\"temperature\":0.7"

static const struct dialect ANTHROPIC = {
    .name = "anthropic",
    .path = "/v1/messages",
    .request_headers = "User-Agent: Anthropic/Python 1.4.0\r\nx-api-key: sk-ant-test-1234567890abcdef\r\nanthropic-version: 2023-06-01\r\n",
    .stream_request = MESSAGE_REQUEST ",\"stream\":true}",
    .whole_request = MESSAGE_REQUEST "}",

    .reply_headers = "request-id: req_011BenchmarkBenchmarkBench1\r\nanthropic-organization-id: 01234567-89ab-4cde-8f01-23456789abcd\r\n"
                     "anthropic-ratelimit-requests-limit: 10000\r\nanthropic-ratelimit-requests-remaining: 9999\r\n",
    .opening = EVENT("message_start", ",\"message\":" MESSAGE_START "[],\"stop_reason\":null,\"stop_sequence\":null," ALL_USAGE("1") "}")
        EVENT("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}") EVENT("ping", ""),
    .content = EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" " MARK "\"}%s"),
    .ending =
        {
            EVENT("content_block_stop", ",\"index\":0"),
            EVENT("message_delta",
                  ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}," INPUT_USAGE "\"output_tokens\":100}"),
            EVENT("message_stop", ""),
            NULL,
        },
    .whole = MESSAGE_START "[{\"type\":\"text\",\"text\":\"Hello! " MARK
                           " A gateway is a server that sits between clients and one or more upstream services, applies policy such as "
                           "authentication, rate limits and routing, and then forwards each request to the service which should answer "
                           "it.\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null," ALL_USAGE("42") "}",
    .padding = "%s",
    .noise = ' ',
    .terminator = "message_stop",
};

#endif
