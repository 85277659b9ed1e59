from typing import Any


def heappush(heap: list[Any], item: Any) -> None:
    heap.append(item)
    _rise(heap, len(heap) - 1)


def heappop(heap: list[Any]) -> Any:
    last = heap.pop()
    if not heap:
        return last
    first, heap[0] = heap[0], last
    _sink(heap, 0)
    return first


def heapify(heap: list[Any]) -> None:
    for place in range(len(heap) // 2 - 1, -1, -1):
        _sink(heap, place)


def heappushpop(heap: list[Any], item: Any) -> Any:
    if heap and heap[0] < item:
        item, heap[0] = heap[0], item
        _sink(heap, 0)
    return item


def heapreplace(heap: list[Any], item: Any) -> Any:
    first, heap[0] = heap[0], item
    _sink(heap, 0)
    return first


def nlargest(n: int, items: Any, key: Any = None) -> list[Any]:
    return sorted(items, key=key, reverse=True)[: max(n, 0)]


def nsmallest(n: int, items: Any, key: Any = None) -> list[Any]:
    return sorted(items, key=key)[: max(n, 0)]


def merge(*rows: Any) -> list[Any]:
    return sorted([item for row in rows for item in row])


def _rise(heap: list[Any], place: int) -> None:
    while place > 0 and heap[place] < heap[(place - 1) // 2]:
        above = (place - 1) // 2
        heap[place], heap[above] = heap[above], heap[place]
        place = above


def _sink(heap: list[Any], place: int) -> None:
    """Like the standard library: down to a leaf along the smaller children, then up again, so that ties end alike."""
    start = place
    below = 2 * place + 1
    while below < len(heap):
        if below + 1 < len(heap) and not heap[below] < heap[below + 1]:
            below += 1
        heap[place], heap[below] = heap[below], heap[place]
        place, below = below, 2 * below + 1
    while place > start and heap[place] < heap[(place - 1) // 2]:
        above = (place - 1) // 2
        heap[place], heap[above] = heap[above], heap[place]
        place = above
