import CWire

/// Which model answers, as far as a journal has to know: another one would mix its answers with those
/// that are written.
public struct ModelIdentity: Sendable, Equatable {
  /// Names the weights, the numbers and the tokenizer.
  public var fingerprint: String
  /// Precision of the arithmetic, such as `f32`.
  public var precision: String
  /// Names the weights that make masks of `<seg>` tokens; empty for none.
  public var maskDecoder: String

  /// Takes what somebody else found out, a coordinator for instance.
  public init(fingerprint: String, precision: String, maskDecoder: String = "") {
    self.fingerprint = fingerprint
    self.precision = precision
    self.maskDecoder = maskDecoder
  }
}

extension ModelIdentity {
  func validate() throws(MessagingError) {
    try Bounds.name(fingerprint, "ServedModel.fingerprint")
    try Bounds.name(precision, "ServedModel.precision")
    try Bounds.name(maskDecoder, "ServedModel.maskDecoder")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> Palisade__Wire__ServedModel {
    try validate()
    var wire = Palisade__Wire__ServedModel()
    palisade__wire__served_model__init(&wire)
    wire.fingerprint = arena.string(fingerprint)
    wire.precision = arena.string(precision)
    wire.mask_decoder = arena.string(maskDecoder)
    return wire
  }

  init(_ wire: Palisade__Wire__ServedModel) throws(MessagingError) {
    self.init(
      fingerprint: try WireReading.string(wire.fingerprint, "ServedModel.fingerprint"),
      precision: try WireReading.string(wire.precision, "ServedModel.precision"),
      maskDecoder: try WireReading.string(wire.mask_decoder, "ServedModel.maskDecoder"))
    try validate()
  }
}
