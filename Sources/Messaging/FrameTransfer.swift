import CZeroMQ
import Foundation
import Tensors

/// Hands `frame` to ZeroMQ.
///
/// Shared memory is retained until ZeroMQ has done with it.
///
/// - Returns: what `zmq_msg_send` returned; `zmq_errno()` is still that of the failure.
func sendFrame(_ frame: Frame, to socket: UnsafeMutableRawPointer, flags: Int32) -> Int32 {
  var message = zmq_msg_t()
  switch frame.content {
  case .bytes(let bytes):
    guard zmq_msg_init_size(&message, bytes.count) == 0 else { return -1 }
    bytes.withUnsafeBytes { source in
      guard let base = source.baseAddress, let target = zmq_msg_data(&message) else { return }
      target.copyMemory(from: base, byteCount: source.count)
    }
  case .shared(let storage, let byteOffset, let byteCount):
    let hint = Unmanaged.passRetained(storage)
    let release: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Void = {
      _,
      hint in
      if let hint { Unmanaged<TensorStorage>.fromOpaque(hint).release() }
    }
    let start = storage.address + byteOffset
    guard zmq_msg_init_data(&message, start, byteCount, release, hint.toOpaque()) == 0 else {
      let number = errno
      hint.release()
      errno = number
      return -1
    }
  }
  let sent = zmq_msg_send(&message, socket, flags)
  if sent < 0 {
    // On success ZeroMQ owns the content; on failure it is still ours to close.
    let number = errno
    zmq_msg_close(&message)
    errno = number
  }
  return sent
}

/// What one `zmq_msg_recv` gave.
enum ReceivedFrame {
  case frame(Frame, isLast: Bool, senderKey: String?)
  case failure
}

/// Takes one frame without copying it: the frame adopts the message and closes it in the end.
/// With `wantsSender` it looks up the key that the gatekeeper let in.
func receiveFrame(
  from socket: UnsafeMutableRawPointer, flags: Int32, wantsSender: Bool = false
) -> ReceivedFrame {
  let message = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
  zmq_msg_init(message)
  guard zmq_msg_recv(message, socket, flags) >= 0 else {
    let number = errno
    zmq_msg_close(message)
    message.deallocate()
    errno = number
    return .failure
  }
  let isLast = zmq_msg_more(message) == 0
  let senderKey = wantsSender ? zmq_msg_gets(message, "User-Id").map { String(cString: $0) } : nil
  let byteCount = zmq_msg_size(message)
  guard byteCount > 0, let address = zmq_msg_data(message) else {
    zmq_msg_close(message)
    message.deallocate()
    return .frame(Frame(bytes: []), isLast: isLast, senderKey: senderKey)
  }
  // A raw pointer may not be captured by a Sendable closure; its bits may.
  let bits = UInt(bitPattern: message)
  let storage = TensorStorage(adopting: address, byteCount: byteCount) {
    guard let message = UnsafeMutablePointer<zmq_msg_t>(bitPattern: bits) else { return }
    zmq_msg_close(message)
    message.deallocate()
  }
  return .frame(Frame(storage: storage), isLast: isLast, senderKey: senderKey)
}
