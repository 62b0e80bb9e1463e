import Messaging

/// The ways into the pipeline: a socket to each replica of the first stage and to the stage where decode
/// steps start, and what one of them has not taken yet. At most as many messages wait as the scheduler
/// lets in.
struct FirstStages: ~Copyable {
  private let links: StageLinks
  private let epoch: UInt64
  private var outbox: [MicroBatch] = []

  init(
    _ workers: [WorkerAddress], epoch: UInt64, in context: Context, limits: Limits,
    workerCount: Int,
    _ protection: Links
  ) throws(MessagingError) {
    self.epoch = epoch
    links = try StageLinks(
      workers, in: context, highWaterMark: limits.messagesInFlight(workerCount: workerCount),
      protection)
  }

  /// Whether something waits for a worker to take it.
  var isBlocked: Bool { !outbox.isEmpty }

  /// Sends a micro-batch to the worker its route names, now or as soon as that takes it.
  mutating func post(_ batch: MicroBatch) {
    outbox.append(batch)
    flush()
  }

  /// Tries again what waits.
  mutating func flush() {
    while let batch = outbox.first {
      // A worker that is gone is found out by its silence; its messages end with the plan.
      let sent = try? links.send(.microBatch(batch), to: batch.route[batch.stage], wait: .never)
      guard sent != nil else { return }
      outbox.removeFirst()
    }
  }

  /// Tells the workers that the way to them is open.
  func pulse() { links.pulse(Pulse(epoch: epoch, worker: WorkerAddress.coordinator)) }
}
