"""A chat is at its newest stream, whoever says so and in whatever order."""

from itertools import permutations

from service.streams.chats import At, Chats, newest

OLD, NEW = "st_1", "st_2"


class Others:
    """What the others are told, and what they know."""

    def __init__(self, **known: At) -> None:
        self.known = known
        self.put_there: list[tuple[str, At]] = []

    def put(self, chat: str, at: At) -> None:
        self.put_there.append((chat, at))

    async def find(self, chat: str) -> At | None:
        return self.known.get(chat)


def test_the_newest_stream_counts_in_whatever_order() -> None:
    for order in permutations([At(OLD), At(OLD, told=True), At(NEW), None]):
        assert newest(order) == At(NEW)


def test_what_was_told_stays_told() -> None:
    for order in permutations([At(NEW), At(NEW, told=True), At(OLD), None]):
        assert newest(order) == At(NEW, told=True)


async def test_of_nothing_that_is_known_nothing_is_true() -> None:
    assert newest([None, None]) is None
    chats = Chats(lambda _: True)
    assert await chats.find("c") is None


async def test_a_chat_is_forgotten_when_its_stream_is_and_another_one_is_begun() -> None:
    kept = {"st_1", "st_2"}
    chats = Chats(kept.__contains__)
    chats.put("a", At("st_1"))
    chats.put("b", At("st_2"))
    kept.remove("st_1")
    chats.put("b", At("st_2", told=True))
    assert list(chats) == [("b", At("st_2", told=True))]
    kept.clear()
    chats.put("c", At("st_3"))
    assert list(chats) == [("c", At("st_3"))]


async def test_the_others_are_told_of_a_chat_and_asked_for_it() -> None:
    chats = Chats(lambda _: True)
    others = chats.others = Others(a=At(OLD, told=True), b=At(NEW))
    chats.put("a", At(OLD))
    chats.put("b", At(OLD, told=True))
    assert others.put_there == [("a", At(OLD)), ("b", At(OLD, told=True))]
    assert await chats.find("a") == At(OLD, told=True)
    assert await chats.find("b") == At(NEW)


async def test_an_older_stream_takes_no_newer_one_s_place() -> None:
    chats = Chats(lambda _: True)
    others = chats.others = Others()
    chats.put("a", At(NEW))
    chats.put("a", At(OLD, told=True))
    assert others.put_there[-1] == ("a", At(NEW))
    assert await chats.find("a") == At(NEW)
