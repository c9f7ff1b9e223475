"""Two small folders of texts such as a learner brings: the files are made here, so that no such text is stored."""

import csv
import json
import random
from pathlib import Path

TRAINING, TESTED = 30, 10
REVIEWS = {
    "bad": ("dull", "noisy", "dirty", "broken", "rude", "never again"),
    "good": ("lovely", "quiet", "clean", "friendly", "bright", "back soon"),
}
TOPICS = {
    "Weather": ("rain", "storm", "frost", "sunshine"),
    "Cooking": ("soup", "oven", "onions", "recipe"),
    "Music": ("violin", "choir", "concert", "drums"),
    "Gardens": ("roses", "seeds", "hedge", "compost"),
    "Trains & buses": ("platform", "ticket", "driver", "timetable"),
    "Health": ("doctor", "fever", "vaccine", "nurse"),
    "Café": ("espresso", "cake", "waiter", "terrace"),
}


def two_classes(folder: Path) -> Path:
    """Reviews as a spreadsheet in Europe saves them: ``label;text``, a header, a byte-order mark, CRLF, no classes.txt.

    The labels are the names of the classes. The last line is blank, and a row of empty cells stands in between.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(2)
    for part, size in (("train", TRAINING), ("test", TESTED)):
        rows = []
        for i in range(size):
            label = list(REVIEWS)[i % 2]
            first, second = chance.sample(REVIEWS[label], 2)
            place = chance.choice(("room", "hotel", "breakfast", "staff"))
            rows.append((label, f"The {place} was {first}; all in all: {second}, and we stayed {i + 2} nights."))
        rows.insert(size // 2, ("", ""))
        with open(folder / f"{part}.csv", "w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=";", lineterminator="\r\n").writerows([("Label", "Text"), *rows])
            file.write("\r\n")
    return folder


def seven_classes(folder: Path) -> Path:
    """Notes on seven topics as JSON lines, with numbers for labels and their names in classes.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(7)
    (folder / "classes.txt").write_text("\n".join(TOPICS) + "\n", encoding="utf-8")
    for part, size in (("train", TRAINING), ("test", TESTED)):
        lines = []
        for i in range(size):
            number = 1 + i % len(TOPICS)
            first, second, third = chance.sample(list(TOPICS.values())[number - 1], 3)
            text = f"We talked of {first} and {second} for {i + 3} minutes."
            lines.append(json.dumps({"label": number, "title": f"A note on {third}", "text": text}))
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
