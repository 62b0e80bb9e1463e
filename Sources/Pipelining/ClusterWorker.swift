import Messaging

/// A worker as the coordinator knows it. Times are milliseconds of the coordinator's clock.
struct ClusterWorker {
  let index: Int
  let peer: PeerIdentity
  let register: Register
  var lastSeen: Int
  /// Since when its connection is gone, if it is.
  var unreachableSince: Int?
  var lastPoke = 0
  /// Its stage of the plan.
  var stage: Int?
  /// Whether the stage is loaded.
  var isReady = false
  /// What it holds, in use or not.
  var loaded: LoadedStage?
  /// Blocks whose weights it can give to others.
  var given: Range<Int>?
  /// The last plan it was given a stage of.
  var assignedEpoch: UInt64 = 0
  var pace = WorkerPace()
  /// How fast it is, once it has said so; and since when it could have.
  var speed: WorkerSpeed?
  var joined = 0
  var microBatches: UInt64 = 0
  /// Whether it was told to end, and gets no stage any more.
  var isLeaving = false
  /// Weights that it fetches: those that are there, and all; and when the former last grew.
  var fetch: (done: Int, all: Int) = (0, 0)
  var fetchMoved = 0

  /// Takes note of what a heartbeat says of that.
  mutating func takeFetch(_ gauges: Gauges, now: Int) {
    if gauges.fetchedBytes > fetch.done { fetchMoved = now }
    fetch = (gauges.fetchedBytes, gauges.fetchBytes)
  }

  var name: String { register.name }
}

/// How a worker was lost to its stage.
public enum WorkerLoss: Sendable, Equatable {
  /// It said goodbye.
  case left
  /// Its connection is gone: the process has ended, or its machine.
  case dead
  /// Its connection stands and it says nothing: stopped, or swapping.
  case silent(milliseconds: Int)
  /// It says that it lives, and takes far longer than it should.
  case slow(String)
  /// It says that it can't.
  case failed(String)
  /// It lives, and what others send it doesn't arrive.
  case unheard(by: String)

  /// Whether what it computed may be to blame.
  var isDeath: Bool {
    switch self {
    case .dead, .silent: true
    case .left, .slow, .failed, .unheard: false
    }
  }

  /// For people, after the worker's name.
  public var text: String {
    switch self {
    case .left: "left"
    case .dead: "is dead: its connection has ended"
    case .silent(let milliseconds):
      "hangs: said nothing for \(Double(milliseconds / 100) / 10) s, though its connection stands"
    case .slow(let how): "is slow: \(how)"
    case .failed(let why): "failed: \(why)"
    case .unheard(let by): "is cut off: \(by) hears nothing of it, though both live"
    }
  }
}

/// How often a worker of some name was lost lately, and until when it gets no stage for it.
struct WorkerStrikes {
  var count = 0
  var last = 0
  var until = 0

  /// One more. The first costs nothing: a worker that is started again is welcome at once. From the
  /// second on it waits, twice as long each time.
  mutating func add(now: Int, limits: Limits) {
    if now - last > limits.strikeMilliseconds { count = 0 }
    count += 1
    last = now
    let doublings = min(count - 2, 10)
    until =
      count < 2
      ? now : now + min(limits.backoffMilliseconds << doublings, limits.backoffMillisecondsMaximum)
  }
}
