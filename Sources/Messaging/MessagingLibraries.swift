import CWire
import CZeroMQ

/// The versions of the libraries that carry messages, as they answer at run time.
public enum MessagingLibraries {
  /// libzmq's version.
  public static var zeroMQVersion: String {
    var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
    zmq_version(&major, &minor, &patch)
    return "\(major).\(minor).\(patch)"
  }

  /// protobuf-c's version.
  public static var protobufVersion: String { String(cString: protobuf_c_version()) }

  /// Whether this libzmq can encrypt, which every socket beyond loopback does.
  public static var canEncrypt: Bool { zmq_has("curve") == 1 }
}
