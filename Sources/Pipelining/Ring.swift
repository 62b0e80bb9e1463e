/// The newest elements, at most so many; older ones make room and are counted.
struct Ring<Element> {
  let capacity: Int
  /// How many made room for newer ones.
  private(set) var droppedCount: UInt64 = 0
  /// How many were ever appended.
  private(set) var appendedCount: UInt64 = 0
  private var elements: [Element] = []
  private var first = 0  // index of the oldest, once the ring is full

  init(capacity: Int) { self.capacity = max(1, capacity) }

  var count: Int { elements.count }

  mutating func append(_ element: Element) {
    appendedCount += 1
    if elements.count < capacity {
      elements.append(element)
    } else {
      elements[first] = element
      first = (first + 1) % capacity
      droppedCount += 1
    }
  }

  /// The newest `count` elements, oldest first.
  func newest(_ count: Int = .max) -> [Element] {
    let ordered = elements[first...] + elements[..<first]
    return Array(ordered.suffix(max(0, count)))
  }

  /// All elements, oldest first; the ring is empty afterwards.
  mutating func takeAll() -> [Element] {
    defer { removeAll() }
    return newest()
  }

  mutating func removeAll() { (elements, first) = ([], 0) }
}
