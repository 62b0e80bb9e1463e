import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Tensors

/// The whole pipeline in one process: the same stages, plan and messages as with many, handed over
/// in memory. One thread drives all stages in turn; the kernels' pool uses the cores.
public final class LocalEngine: Engine {
  /// The model's numbers.
  public let config: ModelConfig
  private let submissions: SubmissionQueue
  private let end: ThreadEnd

  private init(config: ModelConfig, submissions: SubmissionQueue, end: ThreadEnd) {
    self.config = config
    self.submissions = submissions
    self.end = end
  }

  /// Loads the stages of `plan` and starts them.
  ///
  /// - Throws: `CheckpointError` when weights are missing or don't fit; `MessagingError` when the
  ///   system has no file descriptors left.
  public static func start(
    config: ModelConfig, checkpoint: Checkpoint, plan: PipelinePlan, precision: Precision = .f32,
    limits: Limits = Limits()
  ) async throws -> LocalEngine {
    let submissions = try SubmissionQueue(capacity: limits.mailbox)
    submissions.telemetry.takes(pictureSide: config.vision.imageSide)
    let end = ThreadEnd()
    let loaded: Result<Void, any Error> = await withCheckedContinuation { continuation in
      let thread = Thread {
        do {
          let stages = try Stages(
            config: config, checkpoint: checkpoint, plan: plan, precision: precision,
            limits: limits)
          continuation.resume(returning: .success(()))
          stages.run(submissions)
          end.note()
        } catch { continuation.resume(returning: .failure(error)) }
      }
      thread.name = "pipeline"
      thread.stackSize = 4 << 20
      thread.start()
    }
    try loaded.get()
    return LocalEngine(config: config, submissions: submissions, end: end)
  }

  /// Answers one request.
  public func complete(
    _ request: PreparedRequest, onToken: (@Sendable (TokenLogprob) -> Void)?
  ) async throws(Failure) -> Completion {
    try await submissions.complete(request, onToken: onToken)
  }

  /// What is measured of the stages and of the requests.
  public var telemetry: Telemetry { submissions.telemetry }

  /// Ends the engine's thread; requests under way fail with `stopped`.
  public func stop() { submissions.stop() }

  /// Ends the engine's thread, and waits until it has ended.
  ///
  /// A process has to, before it exits: OpenBLAS frees its memory then, and a product that is still being computed
  /// would read what is gone.
  public func stopAndWait() async {
    stop()
    await end.wait()
  }

  deinit { stop() }

  /// What the engine's thread owns.
  private struct Stages {
    let executors: [StageExecutor]
    let embeddingStage: Int
    var scheduler: Scheduler
    private let base: Status
    private var lastEnds: [UInt64]
    private var memory = (readAt: UInt64(0), bytes: 0)

    init(
      config: ModelConfig, checkpoint: Checkpoint, plan: PipelinePlan, precision: Precision,
      limits: Limits
    ) throws(CheckpointError) {
      // All stages have the same memory, and wait for each other: more of them need no more requests.
      var limits = limits
      limits.requestsInFlightMaximum = limits.requestsInFlight
      var executors: [StageExecutor] = []
      for (index, stage) in plan.stages.enumerated() {
        let section = try ModelSection(
          config: config, checkpoint: checkpoint, blocks: stage.blocks, precision: precision)
        executors.append(
          StageExecutor(section: section, plan: plan, stage: index, epoch: 1, limits: limits))
      }
      self.executors = executors
      base = Self.status(plan)
      lastEnds = Array(repeating: Clock.nanoseconds, count: executors.count)
      embeddingStage = plan.embeddingStage
      scheduler = Scheduler(config: config, plan: plan, epoch: 1, limits: limits)
    }

    consuming func run(_ submissions: SubmissionQueue) {
      var stages = self
      var poller = Poller()
      _ = poller.add(fileDescriptor: submissions.mailbox.wakeup)
      submissions.telemetry.publish(stages.base, epoch: 1, inFlight: 0)
      while stages.take(submissions) {
        while let batch = stages.scheduler.nextMicroBatch() {
          stages.executors[0].receive(.microBatch(batch))
        }
        submissions.telemetry.publish(
          stages.base, epoch: 1, inFlight: stages.scheduler.counts.active)
        if !stages.step(submissions) { _ = try? poller.wait(.forever) }
      }
    }

    /// Takes commands; false when told to stop.
    private mutating func take(_ submissions: SubmissionQueue) -> Bool {
      for command in submissions.takeAll() {
        switch command {
        case .submit(let id, let request):
          do throws(Failure) {
            try scheduler.enqueue(request, id: id)
          } catch { submissions.finish(id, .failure(error)) }
        case .cancel(let id):
          if scheduler.cancel(id) { executors[embeddingStage].cancel([id]) }
        case .stop:
          submissions.close(Failure(code: "stopped", message: "the engine was stopped"))
          return false
        case .wake: break
        }
      }
      return true
    }

    private mutating func measure(_ executor: StageExecutor, _ telemetry: Telemetry) {
      guard let span = executor.takeSpan() else { return }
      let idle = span.startNanoseconds - min(span.startNanoseconds, lastEnds[executor.stage])
      lastEnds[executor.stage] = span.startNanoseconds + span.busyNanoseconds
      // Once a second: each look is a read of a file.
      if span.startNanoseconds >= memory.readAt + 1_000_000_000 {
        memory = (span.startNanoseconds, ProcessMemory.residentBytes)
      }
      var gauges = executor.gauges
      gauges.residentBytes = memory.bytes
      telemetry.stepped(
        span, gauges: gauges, vision: executor.visionCounts, idleNanoseconds: idle)
    }

    /// The stages as rows; a process of its own is no worker, so each stage counts as one.
    private static func status(_ plan: PipelinePlan) -> Status {
      let host = ProcessInfo.processInfo.hostName
      let rows = plan.stages.enumerated().map { index, stage in
        var row = StageStatus(
          name: "stage-\(index + 1)", stage: index, blocks: stage.blocks, worker: "this process",
          workerIndex: index, node: host)
        row.instructionSet = Kernels.instructionSet
        row.threads = Kernels.threadCount
        row.memoryBytes = Int(clamping: ProcessInfo.processInfo.physicalMemory)
        return row
      }
      return Status(state: "ready", message: "all stages in one process", stages: rows)
    }

    /// One step of every stage, the last first, so that rows move on before new ones come in.
    ///
    /// - Returns: whether any stage had something to do.
    private mutating func step(_ submissions: SubmissionQueue) -> Bool {
      var worked = false
      for executor in executors.reversed() {
        guard let messages = executor.step() else { continue }
        worked = true
        measure(executor, submissions.telemetry)
        for message in messages {
          switch message {
          case .microBatch(let batch): executors[batch.stage].receive(.microBatch(batch))
          case .tokens(let tokens):
            executors[embeddingStage].receive(.tokenBatch(tokens))
            submissions.telemetry.received(tokens)
            submissions.deliver(scheduler.receive(tokens))
          }
        }
      }
      return worked
    }
  }
}
