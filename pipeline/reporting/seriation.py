"""Order categories so that those that are confused stand side by side and a large confusion matrix can be read."""

import numpy as np
from jaxtyping import Int64

Matrix = Int64[np.ndarray, "K K"]


def seriate(confusions: Matrix) -> tuple[int, ...]:
    """Return an order of the classes by average-linkage clustering; classes that are never confused come last.

    Clusters are joined by the largest mean confusion between their members, and turned so that the ends that are
    confused most meet. Whole numbers and first-comes-first ties make it the same on every machine.

    Args:
        confusions: Samples by (target, prediction), of one run or summed over several.
    """
    similar = confusions + confusions.T
    np.fill_diagonal(similar, 0)
    clusters = [[k] for k in range(len(similar))]
    links = similar.copy()
    while (pair := _closest(clusters, links)) is not None:
        first, second = pair
        clusters[first] = _join(clusters[first], clusters.pop(second), similar)
        links[first] += links[second]
        links[:, first] += links[:, second]
        links = np.delete(np.delete(links, second, axis=0), second, axis=1)
        links[first, first] = 0
    clusters.sort(key=lambda members: -len(members))
    return tuple(k for members in clusters for k in members)


def _closest(clusters: list[list[int]], links: Matrix) -> tuple[int, int] | None:
    """Return the two clusters with the largest mean link, the first of them first; None where no link is left."""
    if not links.any():
        return None
    sizes = np.array([len(members) for members in clusters])
    mean = links / (sizes[:, np.newaxis] * sizes)
    first, second = divmod(int(mean.argmax()), len(mean))
    return min(first, second), max(first, second)


def _join(first: list[int], second: list[int], similar: Matrix) -> list[int]:
    ways = [(a, b) for a in (first, first[::-1]) for b in (second, second[::-1])]
    return max((a + b for a, b in ways), key=lambda order: _at_seam(order, len(first), similar))


def _at_seam(order: list[int], seam: int, similar: Matrix) -> int:
    return int(similar[order[seam - 1], order[seam]])
