import HTTPTypes
import Synchronization

/// Counts what is under way, and refuses what would be too much: the service sheds load here, before
/// it reads a body.
final class RequestGate: Sendable {
  /// What is held.
  struct Load: Sendable, Equatable {
    var requests = 0
    var bodyByteCount = 0
  }

  private let limits: HTTPLimits
  private let load = Mutex(Load())

  init(limits: HTTPLimits) { self.limits = limits }

  /// What is held now.
  var current: Load { load.withLock { $0 } }

  /// Takes room for one request whose body may have so many bytes.
  ///
  /// - Parameter declaredByteCount: what `Content-Length` says; nil counts as the most there may be.
  /// - Returns: the room, given back when nobody holds it any more.
  /// - Throws: 413 when the body is too large for itself, 429 when there is no room now.
  func enter(declaredByteCount: Int?) throws(APIError) -> Pass {
    let byteCount = declaredByteCount ?? limits.bodyByteCount
    guard byteCount <= limits.bodyByteCount else {
      throw APIError(
        .contentTooLarge, code: "request_too_large",
        message: "the body has \(byteCount) bytes, \(limits.bodyByteCount) are allowed; "
          + "send smaller pictures")
    }
    let (requestsMaximum, bytesMaximum) = (limits.requests, limits.bodyByteCountTotal)
    let isAdmitted = load.withLock { load in
      guard load.requests < requestsMaximum, load.bodyByteCount + byteCount <= bytesMaximum
      else { return false }
      load.requests += 1
      load.bodyByteCount += byteCount
      return true
    }
    guard isAdmitted else { throw busy() }
    return Pass(gate: self, requests: 1, bodyByteCount: byteCount)
  }

  private func busy() -> APIError {
    var error = APIError(
      .tooManyRequests, code: "overloaded",
      message: "too many requests are under way; try again in a moment")
    error.retryAfterSeconds = limits.retryAfterSeconds
    return error
  }

  /// Room that was taken; given back when nobody holds it any more.
  final class Pass: Sendable {
    private let gate: RequestGate
    private let held: Mutex<Load>

    fileprivate init(gate: RequestGate, requests: Int, bodyByteCount: Int) {
      self.gate = gate
      held = Mutex(Load(requests: requests, bodyByteCount: bodyByteCount))
    }

    /// Takes room for all choices of the request; one is held already.
    ///
    /// - Throws: 429 when there is no room now.
    func widen(choices: Int) throws(APIError) {
      let more = choices - 1
      guard more > 0 else { return }
      let maximum = gate.limits.requests
      let isAdmitted = gate.load.withLock { load in
        guard load.requests + more <= maximum else { return false }
        load.requests += more
        return true
      }
      guard isAdmitted else { throw gate.busy() }
      held.withLock { $0.requests += more }
    }

    deinit {
      let held = held.withLock { $0 }
      gate.load.withLock { load in
        load.requests -= held.requests
        load.bodyByteCount -= held.bodyByteCount
      }
    }
  }
}
