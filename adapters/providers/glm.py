"""Zhipu's GLM, at Z.ai: always thinking, JSON mode without schemas, numbers for errors.

The coding plan has an address of its own, and its keys work only there.

Sources: [docs] docs.z.ai/api-reference/llm/chat-completion and docs.bigmodel.cn/cn/api/api-code
(the error numbers); [pydantic-ai] profiles/zai.py; [recording] test_zai_thinking_stream.json;
windows [genai-prices], outputs [litellm]. It documents no list of models.
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.events import ErrorCode

PROVIDER = Provider(
    name="glm",
    title="Zhipu GLM (Z.ai)",
    key_vars=("GLM_API_KEY", "ZAI_API_KEY", "ZHIPUAI_API_KEY"),
    address_var="GLM_BASE_URL",
    base_url="https://api.z.ai/api/paas/v4",
    regions={
        "intl": "https://api.z.ai/api/paas/v4",
        "cn": "https://open.bigmodel.cn/api/paas/v4",
        "coding": "https://api.z.ai/api/coding/paas/v4",
    },
    client="openai",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            stream_usage=False,  # usage comes with the finish, asked for or not
            tool_choices=frozenset({"auto"}),
            response_formats=frozenset({"text", "json_object"}),
            # GLM-5.3 cannot be switched off; the switch is for older models, by name.
            thinking_switch="thinking",
            efforts=("low", "high", "max"),
            # Without it a call's arguments come in one piece when they are complete: minutes of
            # silence on a long one, which the stall deadline would take for a dead stream.
            extra_with_tools={"tool_stream": True},
        )
    ),
    prices="zai",
    list_path=None,
    models=(
        Model(
            id="glm-5.3",
            alias="glm-5.3",
            context=1_000_000,
            max_output=128_000,
            reasoning="always",
            **KIN["glm-5.3"],
        ),
        Model(id="glm-5.3-flashx", alias="flashx", reasoning="always", quality=1, family="glm"),
        Model(
            id="glm-5.3-flash",
            alias="flash",
            context=1_000_000,
            max_output=128_000,
            images=True,
            reasoning="always",
            **KIN["glm-5.3-flash"],
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional"),
    # Z.ai sends them as HTTP 429 for the most part, an unpaid bill included.
    error_codes={
        **dict.fromkeys(
            ("1000", "1001", "1002", "1003", "1004"), ErrorCode.AUTH_PROVIDER
        ),  # the token
        **dict.fromkeys(
            ("1110", "1111", "1112", "1121", "1220"), ErrorCode.AUTH_PROVIDER
        ),  # the account: inactive, unknown, locked, locked for violations, without permission
        "1113": ErrorCode.QUOTA_PROVIDER,  # in arrears
        **dict.fromkeys(("1210", "1213", "1214", "1215"), ErrorCode.INVALID_REQUEST),
        # unknown model, method it has not, interface withdrawn, interface unknown
        **dict.fromkeys(("1211", "1212", "1221", "1222"), ErrorCode.MODEL_UNAVAILABLE),
        **dict.fromkeys(("1120", "1230", "1234"), ErrorCode.UPSTREAM_5XX),
        "1261": ErrorCode.CONTEXT_LENGTH,
        "1301": ErrorCode.CONTENT_BLOCKED_INPUT,
        # concurrency, frequency, fair use
        **dict.fromkeys(("1302", "1303", "1313"), ErrorCode.RATE_LIMIT_PROVIDER),
        # of the day, of the plan's window, the plan is over, of the week or month
        **dict.fromkeys(("1304", "1308", "1309", "1310"), ErrorCode.QUOTA_PROVIDER),
        "1311": ErrorCode.MODEL_UNAVAILABLE,  # not in this plan
        **dict.fromkeys(("1305", "1312"), ErrorCode.OVERLOADED),
    },
)
