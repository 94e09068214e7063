"""A network's embeddings and its rivals, asked to recognise the same places: in houses for training and in others."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from placenet_ros.model import PlaceNet
from training.configuration import section, setting
from training.houses import UNSEEN_SEEDS_FROM
from training.recognition.descriptors import (
    Describe,
    OrbWords,
    embeddings,
    picture_descriptors,
    random_descriptors,
    without_head,
)
from training.recognition.protocol import (
    LEVELS,
    SEARCHES,
    Asked,
    Described,
    Level,
    Matches,
    advantage,
    figures_of,
    match,
)
from training.recognition.revisits import Revisit, RevisitConfig, RevisitMaker, difference, make_revisits

NETWORK, COLOUR_ALONE, PLAIN = "this network", "this network, colour alone", "its mean representation"
UNTRAINED = "untrained network"
PICTURE, WORDS, CHANCE = "8 x 8 colours", "ORB words", "random"
RIVALS = (PICTURE, WORDS)  # that the network's advantage is told of
UNTRAINED_SEED = 1_000_003


@dataclass(frozen=True)
class RecognitionConfig:
    """What is asked about places seen again."""

    houses: int = setting(8, "Houses with two walks each: so many unseen ones, and so many for training; 0: none.")
    query_every: int = setting(3, "Every so-manyth frame of the second walk is a query.")
    revisit: RevisitConfig = section(RevisitConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.houses <= UNSEEN_SEEDS_FROM:
            raise ValueError(f"houses must be 0 to {UNSEEN_SEEDS_FROM:,}, not {self.houses}")
        if self.query_every < 1:
            raise ValueError(f"query_every must be at least 1, not {self.query_every}")


class Recognition(NamedTuple):
    """What all rows answered in one group of houses."""

    matches: dict[str, dict[str, Matches]]  # search, then row
    difference: dict[str, float]  # of the two walks, see `revisits.difference`
    houses: int


def recognise(model: PlaceNet, config: RecognitionConfig, processes: int | None = None) -> dict[str, Recognition]:
    """What a network and its rivals recognise, "unseen" and "seen". Raises UserError where nothing can be rendered.

    processes: that render; None: one for each core.
    """
    maker = RevisitMaker(config.revisit, model.config.image_size, model.config.field_of_view_degrees)
    processes = min(config.houses, processes or len(os.sched_getaffinity(0)))
    seen = list(make_revisits(range(config.houses), processes, maker))
    rows = descriptors_of(model, OrbWords(revisit.mapped for revisit in seen))
    unseen = make_revisits(range(UNSEEN_SEEDS_FROM, UNSEEN_SEEDS_FROM + config.houses), processes, maker)
    return {"unseen": answered(rows, unseen, config.query_every), "seen": answered(rows, seen, config.query_every)}


def descriptors_of(model: PlaceNet, words: OrbWords) -> dict[str, Describe]:
    """How each row of the table describes frames."""
    rows: dict[str, Describe] = {NETWORK: lambda trajectory: embeddings(model, trajectory)}
    if model.place_embedding is not None:  # which reads depth, too: without it nothing does
        rows[COLOUR_ALONE] = lambda trajectory: embeddings(model, trajectory._replace(depth=None, objects=None))
        plain = without_head(model)
        rows[PLAIN] = lambda trajectory: embeddings(plain, trajectory)
    blank = untrained(model)
    rows[UNTRAINED] = lambda trajectory: embeddings(blank, trajectory)
    return rows | {PICTURE: picture_descriptors, WORDS: words, CHANCE: random_descriptors}


def untrained(model: PlaceNet) -> PlaceNet:
    """The same network before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return PlaceNet(copy.deepcopy(model.config)).eval().to(next(model.parameters()).device)


def answered(
    rows: dict[str, Describe], revisits: Iterable[Revisit], query_every: int, levels: tuple[Level, ...] = LEVELS
) -> Recognition:
    """What rows answer in some houses; pictures are not kept."""
    asked, poses = [], []
    described: dict[str, list[Described]] = {row: [] for row in rows}
    for seed, mapped, queried in revisits:
        for row, describe in rows.items():
            described[row].append(Described(describe(mapped), describe(queried)[::query_every]))
        asked.append(Asked(mapped.poses, queried.poses[::query_every]))
        poses.append(Revisit(seed, *(walk._replace(rgb=np.empty(0), depth=None, objects=None)
                                     for walk in (mapped, queried))))  # fmt: skip
    matches = {search: {row: match(asked, found, search, levels) for row, found in described.items()}
               for search in SEARCHES}  # fmt: skip
    return Recognition(matches, difference(poses), len(asked))


def figures(recognised: dict[str, Recognition]) -> dict:
    """{group: {"houses", "queries", "difference", search: {row: figures, see `protocol.figures_of`}, "advantage"}}.

    advantage: {search: {rival: {level: how much greater the network's recall@1 is}}}, over houses in pairs.
    """
    told = {}
    for group, found in recognised.items():
        queries = len(next(iter(found.matches[SEARCHES[0]].values())).houses)
        told[group] = {"houses": found.houses, "queries": queries, "difference": found.difference}
        told[group] |= {search: {row: figures_of(matches) for row, matches in rows.items()}
                        for search, rows in found.matches.items()}  # fmt: skip
        told[group]["advantage"] = {
            search: {rival: advantage(rows[NETWORK], rows[rival]) for rival in RIVALS if rival in rows}
            for search, rows in found.matches.items() if NETWORK in rows
        }  # fmt: skip
    return told
