import CWire

/// Memory for the C structures of one message about to be packed; all of it is freed together.
final class WireArena {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  func place<Value: BitwiseCopyable>(_ value: Value) -> UnsafeMutablePointer<Value> {
    let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    blocks.append(UnsafeMutableRawPointer(pointer))
    pointer.initialize(to: value)
    return pointer
  }

  /// A C array with its length, in the order in which protobuf-c declares the two.
  func list<Value: BitwiseCopyable>(
    _ values: [Value]
  ) -> (count: Int, pointer: UnsafeMutablePointer<Value>?) {
    guard !values.isEmpty else { return (0, nil) }
    let pointer = UnsafeMutablePointer<Value>.allocate(capacity: values.count)
    blocks.append(UnsafeMutableRawPointer(pointer))
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { pointer.initialize(from: base, count: source.count) }
    }
    return (values.count, pointer)
  }

  /// A C array of messages.
  func messages<Element, Wire: BitwiseCopyable>(
    _ elements: [Element],
    _ make: (Element) throws(MessagingError) -> Wire
  ) throws(MessagingError) -> (
    count: Int, pointer: UnsafeMutablePointer<UnsafeMutablePointer<Wire>?>?
  ) {
    var pointers: [UnsafeMutablePointer<Wire>?] = []
    pointers.reserveCapacity(elements.count)
    for element in elements { pointers.append(place(try make(element))) }
    return list(pointers)
  }

  /// A C string; `text` has passed `Bounds.name`.
  func string(_ text: String) -> UnsafeMutablePointer<CChar>? {
    list(text.utf8.map { CChar(bitPattern: $0) } + [0]).pointer
  }

  /// A `bytes` field.
  func bytes(_ text: String) -> ProtobufCBinaryData { bytes(Array(text.utf8)) }

  /// A `bytes` field.
  func bytes(_ content: [UInt8]) -> ProtobufCBinaryData {
    let (count, pointer) = list(content)
    return ProtobufCBinaryData(len: count, data: pointer)
  }
}
