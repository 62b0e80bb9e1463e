import CZeroMQ
import Foundation

extension MessagingError {
  /// The error behind a failed ZeroMQ call.
  ///
  /// Call it at once: the number is per thread and is
  /// overwritten by the next call.
  static func zeroMQ(_ operation: String, endpoint: String = "") -> MessagingError {
    let number = zmq_errno()
    let (code, remedy) = meaning(of: number, hasEndpoint: !endpoint.isEmpty)
    return MessagingError(
      code: code,
      operation: operation,
      endpoint: endpoint,
      cause: String(cString: zmq_strerror(number)),
      remedy: remedy
    )
  }

  private static func meaning(of number: Int32, hasEndpoint: Bool) -> (Code, String) {
    switch number {
    case EAGAIN: (.wouldBlock, "wait until the other end takes messages, or drop this one")
    case EHOSTUNREACH: (.unreachable, "the peer has gone; wait until it registers again")
    case Int32(shim_error_terminated): (.terminated, "close this socket and stop")
    case EADDRINUSE: (.addressInUse, "choose another port, or port * for any free one")
    case _ where hasEndpoint && endpointErrors.contains(number):
      (.invalidEndpoint, "use tcp://address:port, ipc://path or inproc://name, and one that exists")
    case EMFILE, ENFILE: (.system(number), "raise the limit of open files (ulimit -n)")
    case ENOMEM: (.system(number), "free memory, or lower the high-water marks")
    default: (.system(number), "see zmq_errno \(number)")
    }
  }

  private static let endpointErrors: Set<Int32> = [
    EADDRNOTAVAIL, ENODEV, EINVAL, EPROTONOSUPPORT, ENOENT, ENAMETOOLONG, ECONNREFUSED,
    Int32(shim_error_protocol),
  ]
}
