import Messaging
import PaliGemma

/// Every maximum of the pipeline, as arithmetic with its reason. Messages, pictures and prompts
/// have theirs in `MessageLimits`, `ImageLimits` and `TokenizerLimits`.
public struct Limits: Sendable, Equatable {
  /// Requests being answered at once where one or two stages decode, each with a KV cache in every
  /// shard. In f32 a cache of the 3B takes 18 layers × 2 KiB = 36 KiB a position, 11 MB for 300
  /// positions; 64 take 0.7 GB.
  public var requestsInFlight = 64
  /// The most there may be at once however many stages decode: sixteen of them have 32 each. The
  /// coordinator keeps each one's pixels until it ends (147 KiB at 224 px: 75 MB; 2.3 MiB at 896 px:
  /// 1.2 GB), a client may have twice as many unanswered (`clientRequests`), and as many again wait. A
  /// batch's journal notes results in groups of its own, whatever is under way.
  public var requestsInFlightMaximum = 512
  /// Requests of each priority waiting with their pixels (147 KiB at 224 px, 2.3 MiB at 896 px).
  /// Beyond that a submission is refused with `overloaded`, and the client tries again; each
  /// priority has places of its own, so that a batch that keeps its queue full shuts nobody out.
  public var requestsWaiting = 512
  /// Rows of one prefill micro-batch: 4 requests of 272 tokens, enough for a product to run at
  /// its best rate (shared/peers.md), little enough that other stages needn't wait long.
  public var prefillRows = 1088
  /// Rows of one prefill where several workers make a pipeline: one request of the 3B at 224 px. Decode
  /// steps wait behind each prefill, and the other stages with them: in the simulation, which plays this
  /// policy exactly, four requests at once leave 2 to 8 machines 64 to 43 % of what their stages could do,
  /// one at a time 97 to 55 %, and hardly anything is lost in the products (shared/peers.md).
  public var pipelinePrefillRows = 272
  /// Bytes of pictures and their rows that a vision stage keeps ("encode once, ask many"): at 224 px
  /// a picture of the 3B takes 2.2 MB, so 120 pictures; at 896 px 36 MB, so 7.
  public var visionCacheByteCount = 256 << 20
  /// Submissions and commands between a caller and the engine's thread.
  public var mailbox = 1024
  /// Workers a cluster takes, spares included.
  public var workers = 256
  /// How often a worker tells that it lives.
  public var heartbeatMilliseconds = 500
  /// How long a peer may say nothing before it counts as lost: five heartbeats, so that with the
  /// next look it is found within 3 s.
  public var silenceMilliseconds: Int { 5 * heartbeatMilliseconds }
  /// How long a connection may be gone before its worker counts as dead: the time to connect again.
  public var deadMilliseconds: Int { heartbeatMilliseconds }
  /// How long the way from one worker to another may be silent: four pulses.
  public var linkSilenceMilliseconds: Int { 4 * heartbeatMilliseconds }
  /// How long nothing may move while requests are under way before a message counts as lost: three
  /// heartbeats in which every stage says that it has nothing to do. Doubled while it doesn't help.
  public var stallMilliseconds: Int { 3 * heartbeatMilliseconds }
  /// The longest such wait, however often it didn't help.
  public var stallMillisecondsMaximum = 60_000
  /// A worker that takes so many times longer than usual, and than the others do, is slow.
  public var slowFactor = 10.0
  /// The least time that one micro-batch may take: a machine busy with other things needs it.
  public var microBatchMilliseconds = 2000
  /// How long a stage's weights may take to load: 10 GB from a slow disk.
  public var loadMilliseconds = 600_000
  /// Chunks of weights under way to one worker: 8 MiB, what a link of 1 Gbit/s carries in 67 ms.
  public var chunksInFlight = 8
  /// Other workers that one fetches weights from: three links of 1 Gbit/s are more than a disk writes.
  public var weightSources = 3
  /// Workers that one gives weights to at a time; each has at most twice `chunksInFlight` chunks in its
  /// queue, so 64 MiB for all. More are told to ask elsewhere: the coordinator gives to all.
  public var uploads = 4
  /// How long another worker may say nothing before the coordinator is asked in its place; and so long
  /// after its last question somebody else may take its place.
  public var sourceSilenceMilliseconds = 5000
  /// How long others may take to say what they have before the coordinator is asked for all: a cache
  /// says it at once, a folder has to be read first, and comes in when it has been.
  public var sourceGreetingMilliseconds = 1000
  /// How long a worker waits for weights before it connects anew: one chunk at 1 Mbit/s takes 8 s.
  public var fetchStallMilliseconds = 30_000
  /// Such waits in a row, without a byte, before it gives up; and times one chunk may come damaged.
  public var fetchAttempts = 4
  /// How long requests wait for a cluster that has lost its pipeline, before they fail.
  public var outageMilliseconds = 60_000
  /// The wait of a worker that was lost twice; it doubles with each loss.
  public var backoffMilliseconds = 2000
  /// The longest such wait.
  public var backoffMillisecondsMaximum = 60_000
  /// After so long without a loss a worker's record is clean.
  public var strikeMilliseconds = 120_000
  /// How long a plan works at least before a better one takes its place, so that workers that come
  /// one after the other make one change.
  public var settleMilliseconds = 2000
  /// A new plan pays when its slowest stage costs so much of the present one's, or less: a change
  /// costs a replay of everything under way.
  public var gainShare = 0.8
  /// A change of plans while requests are under way is made when what it costs is won back so soon:
  /// work that is worth a cluster takes longer.
  public var paybackMilliseconds = 300_000
  /// How long a worker has to say how fast it is, before it counts as the slowest.
  public var measureMilliseconds = 15_000
  /// Clients whose silence is watched.
  public var clients = 4096
  /// Requests that one client may have unanswered: twice the largest `palisade batch --window`.
  public var clientRequests = 1024
  /// Bytes of pictures that one client may have unanswered: two of the largest messages.
  public var clientByteCount = 1 << 30
  /// Bytes of pictures that all clients may have unanswered.
  public var clientsByteCount = 4 << 30
  /// How long a client may say nothing before its requests are given up: ten of its pings.
  public var clientSilenceMilliseconds = 10_000
  /// How long a worker waits for a neighbour that doesn't take its messages.
  public var sendMilliseconds = 5000
  /// How long the token that goes through all stages before a cluster counts as ready may take.
  public var probeMilliseconds = 120_000

  /// How often the figures shown to others are brought up to date.
  public var publishMilliseconds = 100

  /// The standard limits.
  public init() {}

  /// Requests being answered at once in a pipeline in which so many stages decode: each needs work of
  /// its own while others have theirs. With 32 for each (28 of them batch work) four machines do 99 %
  /// of what their stages could, with 64 in all 78 % (`palisade plan --simulate`, LOG.md). Caches of a
  /// worker don't grow by it: with twice the stages, each has half the layers of twice the requests.
  public func requestsInFlight(decodeStages: Int) -> Int {
    max(requestsInFlight, min(requestsInFlightMaximum, requestsInFlight / 2 * decodeStages))
  }

  /// Places of those that batch work may take: an eighth stays free for somebody who waits, where there
  /// are as many as eight.
  public func batchRequestsInFlight(decodeStages: Int) -> Int {
    let all = requestsInFlight(decodeStages: decodeStages)
    return max(1, all - all / 8)
  }

  /// What a batch keeps under way so that no place of its is ever empty: as many as it may take, and
  /// one for each prefill, to be there when a place becomes free.
  public func batchWindow(decodeStages: Int, workerCount: Int) -> Int {
    batchRequestsInFlight(decodeStages: decodeStages) + prefillsInFlight(workerCount: workerCount)
  }

  /// KV caches one stage holds before it refuses; twice the requests in flight, because released
  /// caches are freed a message later than the next request may come.
  public func cachesPerStage(decodeStages: Int) -> Int {
    2 * requestsInFlight(decodeStages: decodeStages)
  }

  /// Rows of one prefill in a pipeline of `workerCount` workers; a request that has more goes alone.
  public func prefillRows(workerCount: Int) -> Int {
    workerCount > 1 ? min(prefillRows, pipelinePrefillRows) : prefillRows
  }

  /// Prefill micro-batches under way in a pipeline of `workerCount` workers: one more than workers,
  /// so that one that finishes finds the next one waiting, replicas too.
  public func prefillsInFlight(workerCount: Int) -> Int { workerCount + 1 }

  /// Messages that can be under way to one stage: all prefills, and a decode row of each request, of
  /// which there are the most when every worker decodes: 512 + 257 in the largest cluster. ZeroMQ's high-water marks stand above that, so a full queue means a broken peer.
  public func messagesInFlight(workerCount: Int) -> Int {
    prefillsInFlight(workerCount: workerCount) + requestsInFlight(decodeStages: workerCount)
  }
}
