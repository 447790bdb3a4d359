"""Kinds of things, as numbers of ImageNet's classes.

Half of its thousand names are breeds and species that few people know. Their odds add up: a picture
that is 36 % a tiger cat, 36 % an Egyptian cat and 17 % a tabby is a cat.
"""

from __future__ import annotations

#: First and last class of each range, both included.
KINDS: dict[str, tuple[tuple[int, int], ...]] = {
    "airplane": ((404, 404), (895, 895)),
    "bear": ((294, 297),),
    "bird": ((7, 24), (80, 100), (127, 146)),
    "boat": (
        (472, 472), (510, 510), (554, 554), (576, 576), (625, 625), (628, 628), (724, 724),
        (780, 780), (814, 814), (871, 871), (914, 914),
    ),
    "bus": ((654, 654), (779, 779), (874, 874)),
    "butterfly": ((321, 326),),
    "car": (
        (407, 407), (436, 436), (468, 468), (511, 511), (609, 609), (627, 627), (656, 656),
        (661, 661), (717, 717), (751, 751), (817, 817),
    ),
    "cat": ((281, 285),),
    "clock": ((409, 409), (530, 530), (892, 892)),
    "dog": ((151, 268),),
    "elephant": ((385, 386),),
    "fish": ((0, 1), (389, 397)),
    "fox": ((277, 280),),
    "frog": ((30, 32),),
    "fruit": ((948, 957),),
    "horse": ((339, 339),),
    "insect": ((300, 326),),
    "lizard": ((38, 48),),
    "monkey": ((365, 382),),
    "mushroom": ((991, 997),),
    "sheep": ((348, 349),),
    "snake": ((52, 68),),
    "spider": ((72, 77),),
    "train": ((466, 466), (547, 547), (705, 705), (820, 820)),
    "truck": ((555, 555), (569, 569), (675, 675), (864, 864), (867, 867)),
    "turtle": ((33, 37),),
    "wolf": ((269, 272),),
}  # fmt: skip
