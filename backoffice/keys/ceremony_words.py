"""What ceremonies are told in: Chinese and English for roles, keys and refusals. Read by minutes and dialogue."""

TEST_MARK = "测试密钥，不得用于生产  TEST KEYS, NOT FOR PRODUCTION"

ROLES = {
    "master": ("主持人", "ceremony master"),
    "custodian": ("保管人", "custodian"),
    "auditor": ("审计员", "auditor"),
    "witness": ("见证人", "witness"),
    "hsm_admin": ("加密机管理员", "HSM administrator"),
}
PURPOSES = {
    "purchase": ("消费密钥", "purchase"),
    "load": ("圈存密钥", "load"),
    "unload": ("圈提密钥", "unload"),
    "tac": ("TAC密钥", "TAC"),
    "maintenance": ("应用维护密钥", "maintenance"),
    "control": ("卡片主控密钥", "chip control"),
    "card_maintenance": ("卡片维护密钥", "card maintenance"),
    "transport": ("传输密钥", "transport"),
    "zone": ("区域主密钥", "zone"),
}
LEVELS = {
    "nation": ("国家级", "nation"),
    "province": ("省级", "province"),
    "issuer": ("发卡机构级", "issuer"),
    "chip": ("芯片级", "chip"),
}
ORIGINS = {
    "enter": ("由保管人录入", "entered by custodians"),
    "split": ("新生成并分发", "made anew and divided"),
    "make": ("内部生成，不可见", "made inside, unseen"),
}
# Refusals by the name of their class, as a person reads them
REASONS = {
    "BadPart": ("格式不对", "not well-formed"),
    "WrongCheckValue": ("校验值不符", "another check value"),
    "EqualParts": ("两人分量相同", "two equal parts"),
    "Disagreed": ("与计划或屏幕不符", "not what was planned or shown"),
    "MixedKeys": ("测试与生产密钥不得混用", "test and production keys never mix"),
}
