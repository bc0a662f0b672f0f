// OpenAI chat completions: the bytes of a real reply of gpt-4o-mini, streamed with include_usage and whole.
#ifndef OPENAI_CHAT_H
#define OPENAI_CHAT_H

#include "wire.h"

#define CHUNK_START \
    "data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\"created\":1741569952," \
    "\"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_b376dfbbd5\",\"choices\":"

#define USAGE_DETAILS \
    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0," \
    "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}"

#define REQUEST_START \
    "{\"model\":\"%s\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant that answers briefly and " \
    "precisely.\"},{\"role\":\"user\",\"content\":\"Explain in a few sentences what an LLM gateway is and why somebody would put " \
    "one between their application and the model providers.\"}],\"temperature\":0.7,\"max_tokens\":512"

static const struct dialect OPENAI_CHAT = {
    .name = "openai-chat",
    .path = "/v1/chat/completions",
    .request_headers = "User-Agent: OpenAI/Python 3.51.0\r\nAuthorization: Bearer sk-test-1234567890abcdef\r\n",
    .stream_request = REQUEST_START ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
    .whole_request = REQUEST_START "}",

    .reply_headers = "openai-organization: user-abc\r\nopenai-processing-ms: 210\r\nopenai-version: 2020-10-01\r\n"
                     "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
                     "x-request-id: req_4f0b1f5b2a8d4a3f\r\n",
    .opening = CHUNK_START "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
                           "\"finish_reason\":null}]}\n\n",
    .content = CHUNK_START "[{\"index\":0,\"delta\":{\"content\":\" " MARK "\"},\"logprobs\":null,\"finish_reason\":null}]%s}\n\n",
    .ending =
        {
            CHUNK_START "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",
            CHUNK_START "[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":100,\"total_tokens\":119," USAGE_DETAILS "}}\n\n",
            "data: [DONE]\n\n",
            NULL,
        },
    .whole = "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\"created\":1741569952,"
             "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello! " MARK
             " A gateway is a server that sits between clients and one or more upstream services, applies policy such as "
             "authentication, rate limits and routing, and then forwards each request to the service which should answer it.\","
             "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":19,"
             "\"completion_tokens\":42,\"total_tokens\":61," USAGE_DETAILS
             "},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_b376dfbbd5\"}",
    .padding = ",\"obfuscation\":\"%s\"",
    .noise = 'x',
    .terminator = "[DONE]",
};

#endif
