import Messaging

/// Requests that wait for their prefill: interactive ones in front of batch work, and within each
/// priority the jobs in turn, so that a job of ten thousand pictures doesn't starve one of ten.
///
/// Whoever appends bounds the count (`Limits.requestsWaiting`).
struct WaitingRequests {
  typealias Entry = (id: UInt64, request: PreparedRequest)

  /// The queues of one priority's jobs, the next to be served first.
  private struct Lane {
    var jobs: [(name: String, entries: [Entry])] = []

    var count: Int { jobs.reduce(0) { $0 + $1.entries.count } }

    mutating func append(_ entry: Entry) {
      let name = entry.request.handling.job
      if let index = jobs.firstIndex(where: { $0.name == name }) {
        jobs[index].entries.append(entry)
      } else {
        // Behind all others: whoever comes later waits one turn at the most.
        jobs.append((name, [entry]))
      }
    }

    mutating func removeFirst() {
      guard var job = jobs.first else { return }
      jobs.removeFirst()
      job.entries.removeFirst()
      if !job.entries.isEmpty { jobs.append(job) }
    }

    mutating func remove(_ id: UInt64) {
      for index in jobs.indices { jobs[index].entries.removeAll { $0.id == id } }
      jobs.removeAll { $0.entries.isEmpty }
    }
  }

  private var interactive = Lane()
  private var batch = Lane()

  /// How many wait.
  var count: Int { interactive.count + batch.count }
  /// How many of one priority wait.
  func count(_ priority: Handling.Priority) -> Int {
    priority == .interactive ? interactive.count : batch.count
  }
  /// All ids that wait, in no promised order.
  var ids: [UInt64] { (interactive.jobs + batch.jobs).flatMap { $0.entries.map(\.id) } }
  /// The one whose turn it is.
  var first: Entry? { interactive.jobs.first?.entries.first ?? batch.jobs.first?.entries.first }

  /// Takes a request in.
  mutating func append(_ request: PreparedRequest, id: UInt64) {
    switch request.handling.priority {
    case .interactive: interactive.append((id, request))
    case .batch: batch.append((id, request))
    }
  }

  /// Removes `first`, and ends its job's turn.
  mutating func removeFirst() {
    if interactive.jobs.isEmpty { batch.removeFirst() } else { interactive.removeFirst() }
  }

  /// Removes a request wherever it waits.
  mutating func remove(_ id: UInt64) {
    interactive.remove(id)
    batch.remove(id)
  }
}
