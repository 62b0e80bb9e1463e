import HeapModule

/// Events by time; of equal times the first that was pushed.
struct EventQueue<Time: Comparable, Event> {
  private struct Entry: Comparable {
    let time: Time
    /// Of this push among all: no two have the same.
    let order: Int
    let event: Event

    static func == (left: Entry, right: Entry) -> Bool { left.order == right.order }
    static func < (left: Entry, right: Entry) -> Bool {
      (left.time, left.order) < (right.time, right.order)
    }
  }
  private var entries = Heap<Entry>()
  private var order = 0

  mutating func push(_ event: Event, at time: Time) {
    entries.insert(Entry(time: time, order: order, event: event))
    order += 1
  }

  mutating func pop() -> (Time, Event)? { entries.popMin().map { ($0.time, $0.event) } }
}
