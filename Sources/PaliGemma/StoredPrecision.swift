import Checkpoints
import Tensors

extension Checkpoint {
  /// What says in a file's header how the weights of products are packed.
  static let precisionKey = "palisade.precision"
  /// The version of the packed form (int8.h in CKernels); another one can't be read.
  static let layoutKey = "palisade.layout"
  static let layout = "1"

  /// How the weights of products are packed; nil in an ordinary checkpoint, whose weights are
  /// quantised at load where that is asked for.
  public func storedPrecision() throws(CheckpointError) -> Precision? {
    let metadata = try metadata()
    guard let name = metadata[Self.precisionKey] else { return nil }
    guard let precision = Precision(rawValue: name), precision.bits != nil,
      metadata[Self.layoutKey] == Self.layout
    else {
      throw .malformed(
        path: directory,
        reason: "weights in '\(name)', layout \(metadata[Self.layoutKey] ?? "?"), are not known to "
          + "this version; quantise the original again with `palisade checkpoint quantize`")
    }
    return precision
  }

  /// Refuses a precision that the checkpoint can't be computed in.
  func requirePrecision(_ precision: Precision) throws(CheckpointError) {
    if let stored = try storedPrecision(), stored != precision {
      throw .precision(
        directory: directory, stored: stored.rawValue, asked: precision.rawValue)
    }
  }
}
