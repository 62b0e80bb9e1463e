import Messaging

/// The way into the pipeline: a socket to each replica of the first stage, and what one of them
/// has not taken yet. At most as many messages wait as the scheduler lets prefills in.
struct FirstStages: ~Copyable {
  private let links: StageLinks
  private var outbox: [MicroBatch] = []

  init(
    _ workers: [WorkerAddress], in context: Context, limits: Limits, stageCount: Int,
    _ protection: Links
  ) throws(MessagingError) {
    links = try StageLinks(
      workers, in: context, highWaterMark: limits.messagesInFlight(stageCount: stageCount),
      protection)
  }

  /// Whether something waits for a replica to take it.
  var isBlocked: Bool { !outbox.isEmpty }

  /// Sends a micro-batch to the replica its route names, now or as soon as that takes it.
  mutating func post(_ batch: MicroBatch) {
    outbox.append(batch)
    flush()
  }

  /// Tries again what waits.
  mutating func flush() {
    while let batch = outbox.first {
      // A replica that is gone is found out by its silence; its messages end with the plan.
      guard (try? links.send(.microBatch(batch), to: batch.route[0], wait: .never)) != nil else {
        return
      }
      outbox.removeFirst()
    }
  }
}
