"""A test ceremony without people: every part is drawn, every question answered. For the demo and for tests.

Only for plans, vaults and minutes that are marked as tests. A seed makes the same keys again.
"""

import hmac

from backoffice.keys import ceremony as steps
from backoffice.keys import components
from backoffice.keys.backend import KeysError
from backoffice.keys.ceremony import Ceremony, Draw, MixedKeys, Step
from backoffice.keys.ceremony_plan import Plan, PlannedKey
from backoffice.keys.components import XOR

PASSPHRASE = "nobody attends, everybody knows"  # of everybody: it protects test keys; in no minutes


class NotUnattended(KeysError):
    """This plan wants people. The message says why."""


def draw_of(seed: int) -> Draw:
    """16 bytes by what they are for."""
    return lambda what: hmac.digest(f"yikatong test ceremony {seed}".encode(), what.encode(), "sha256")[:16]


def check(plan: Plan) -> None:
    """Raises MixedKeys, NotUnattended."""
    if not plan.test:
        raise MixedKeys("a production ceremony is held by people: leave out --unattended, or name a plan for tests")
    told = [key.key_id for key in plan.keys if key.kcv or key.part_kcvs]
    if told:
        raise NotUnattended(f"key {told[0]}: the plan knows its check value, so somebody has it in envelopes")


def hold(ceremony: Ceremony, draw: Draw | None) -> None:
    """From where the ceremony stands to its end."""
    check(ceremony.plan)
    hands = _Hands(ceremony, draw)
    while (step := ceremony.step()).kind != steps.DONE:
        for custodian in ceremony.wants_passphrases():
            ceremony.unlock(custodian, PASSPHRASE)
        hands.take(step)


class _Hands:
    def __init__(self, ceremony: Ceremony, draw: Draw | None) -> None:
        self._ceremony = ceremony
        self._draw = draw or (lambda what: components.draw())
        self._shares: dict[str, list[str]] = {}

    def take(self, step: Step) -> None:
        ceremony, plan = self._ceremony, self._ceremony.plan
        if step.kind == steps.ATTEND:
            ceremony.attend(step.who, PASSPHRASE)
        elif step.kind == steps.DEVICE:
            ceremony.device(plan.devices[step.device].serial)
        elif step.kind in (steps.ENTER, steps.GIVE):
            key = plan.key(step.key_id)
            part = " ".join(ceremony.part_to_copy()) if step.kind == steps.GIVE else self._part(key, step.custodian)
            value = components.value_of(key.method, components.parse(key.method, part))
            envelope = key.envelopes.get(step.custodian, f"TEST-{step.key_id}-{step.custodian}"[:40])
            ceremony.enter(part, components.kcv(key.algorithm, value), envelope)
        elif step.kind in (steps.CONFIRM_PART, steps.CONFIRM_KEY):
            ceremony.confirm(True)
        elif step.kind == steps.JOIN:
            self._join()
        elif step.kind == steps.KEEP:
            ceremony.keep()
        else:
            ceremony.close(plan.video or "无 none", "无人值守的测试仪式 unattended test ceremony")

    def _part(self, key: PlannedKey, custodian: str) -> str:
        if key.method == XOR:
            return self._draw(f"{key.key_id} {custodian}").hex()
        if key.key_id not in self._shares:
            count = max(len(key.custodians), components.COMPONENTS_MIN)
            self._shares[key.key_id] = components.split(self._draw(key.key_id), count, key.threshold)
        return self._shares[key.key_id][key.custodians.index(custodian)]

    def _join(self) -> None:
        """After a resume, shares that were drawn anew do not match the old ones: then all are entered again."""
        try:
            self._ceremony.join()
        except components.BadPart:
            if self._ceremony.step().kind != steps.ENTER:
                raise
