"""The page of what becomes of a request's fields on their way to a provider of another dialect."""

from __future__ import annotations

from telex.dialects import DIALECTS, Dialect
from telex.dialects.gaps import CONTENTS, ESSENTIAL_WORDS, WORDS

TITLE = """\
# What becomes of a request on its way to another dialect

Written from the code by `python -m docs`; a test holds it against the code.

Between two sides of one dialect a request's body passes as it came: unknown fields, the order of fields and all. On the way to
another dialect each field is **carried** (under the name that is shown), **refused** with a 400 that names it, because the answer
would be another without it, or **dropped**: the answer names it in `Telex-Dropped`. A model with `unsupported = "refuse"` refuses
what else would be dropped.
"""
REST = """\
## What no table can say

- Fields that only their own dialect has are dropped by name, but for those listed here, which are refused:
{essential}
- Tools of a kind that is not a function (`web_search_…`, `googleSearch`, `custom`, …) and choices of such tools are refused.
- Content that only one provider understands is refused in a user's message and dropped by name from the model's earlier turns.
- A stored file is refused: only the provider that stores it knows it.
- Signatures and encrypted reasoning go back only to the provider that made them, from any dialect: marked with whose they are they
  come through Anthropic's `thinking` and `redacted_thinking` blocks, Gemini's `thoughtSignature`, the `encrypted_content` of Responses,
  and in Chat messages `reasoning_details` and `tool_calls[].extra_content.google.thought_signature`.
- `previous_response_id` goes on from a response that Telex stores at any provider; one that it does not can be known only to a provider
  of the dialect itself. `background` Telex does itself, at any provider.
- Marks of what of a prompt to cache go where they are taken: at OpenAI to models from gpt-5.6 on, elsewhere in its dialects to those that
  the provider's `quirks.cache_marks` names, and not on the model's own words and calls; at Anthropic the last four of a request. Others,
  and those of Anthropic's tools, are dropped by name; so is `….ttl` where there is only the shorter lifetime, as in Chat. 5 minutes at
  Anthropic and 30 at OpenAI are told as each other's, and so are 1 hour and 12.
- Arguments of a tool call that are no JSON object are refused on the way to Anthropic and Gemini, which know only objects.

## Where replies carry what their dialect has no place for

| | OpenAI Chat | OpenAI Responses | Anthropic | Gemini |
|---|---|---|---|---|
{places}
"""

PLACES = (
    ("reasoning", "`reasoning_content`", "item of the type `reasoning`", "`thinking` block", "part with `thought`"),
    ("parts of the provider's own (its server tools, …)", "`provider_parts[]` of the message", "item of the type `provider_part`",
     "block of the type `provider_part`", "`partMetadata.provider_part`"),
    ("fields of the provider's own, of reply, choice and usage", "`provider_fields`", "`provider_fields` of the response and the usage",
     "`provider_fields` of the message or `message_delta`, and of usage", "`provider_fields` of the last chunk, the candidate, the usage"),
    ("citations", "`annotations[]`, the original under `provider_citation`", "`annotations[]`, the same", "`citations[]`, the same",
     "`citationMetadata`, the same"),
    ("pictures", "`images[]` of the message", "item of the type `image_generation_call`", "block of the type `image`", "`inlineData`"),
    ("log probabilities", "`logprobs`", "`logprobs` of the text", "`provider_fields.logprobs`", "`logprobsResult`"),
    ("a refusal", "`refusal`, or `content_filter`", "`refusal`, or `incomplete` for `content_filter`", "text, and `stop_reason` `refusal`",
     "text with `partMetadata.refusal`, or `SAFETY`"),
    ("the provider's own word for its end", *["`native_finish_reason`"] * 4),
)  # fmt: skip


def page() -> str:
    """The whole page, as Markdown."""
    names = list(DIALECTS)
    rows = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    rows += [f"| {word_name(word)} | {' | '.join(cell(word, dialect) for dialect in DIALECTS.values())} |" for word in WORDS]
    rows += [f"| {what} | {' | '.join(content_cell(kind, d) for d in DIALECTS.values())} |" for kind, what in CONTENTS.items()]
    essential = "\n".join(f"  - {name}: {', '.join(f'`{f}`' for f in sorted(d.ESSENTIAL))}" for name, d in DIALECTS.items())
    places = "\n".join(f"| {' | '.join(row)} |" for row in PLACES)
    return "\n".join([TITLE, "## To a provider of …\n", *rows, "", REST.format(essential=essential, places=places)])


def word_name(word: str) -> str:
    return word.replace("_", " ").replace(".", ": ").replace("json: schema", "JSON schema")


def cell(word: str, dialect: Dialect) -> str:
    if word in dialect.FIELDS:
        return f"`{dialect.FIELDS[word]}`"
    return "refused" if word in ESSENTIAL_WORDS else "dropped"


def content_cell(kind: str, dialect: Dialect) -> str:
    return "carried" if kind in dialect.CONTENT else "refused"
