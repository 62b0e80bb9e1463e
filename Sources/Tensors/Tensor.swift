/// Typed memory with a shape, row-major and dense. Copies of the value share the memory.
///
/// Whoever makes a tensor fills it before handing it on; from then on it is only read.
public struct Tensor: Sendable {
  /// The memory looked at, kept alive by this value.
  public let storage: TensorStorage
  /// How one element is stored.
  public let elementType: ElementType
  private var extents: Extents
  /// Where the first element stands in `storage`, in bytes.
  public let byteOffset: Int

  /// Dimensions a tensor may have; files and messages are refused with more.
  public static let rankMaximum = 8

  /// The extent of each dimension, outermost first.
  public var shape: [Int] { extents.array }

  /// Makes a tensor with memory of its own, not cleared.
  ///
  /// - Precondition: the extents are not negative; they come from a checked configuration.
  public init(_ elementType: ElementType = .f32, shape: [Int]) {
    self.init(elementType, Extents(shape))
  }

  /// Makes a matrix with memory of its own, not cleared, and no array for its shape.
  ///
  /// - Precondition: the extents are not negative; they come from a checked configuration.
  public init(_ elementType: ElementType = .f32, rows: Int, width: Int) {
    self.init(elementType, Extents(rows: rows, width: width))
  }

  private init(_ elementType: ElementType, _ extents: Extents) {
    self.init(
      storage: TensorStorage(byteCount: extents.count * elementType.byteCount),
      elementType: elementType, extents: extents, byteOffset: 0)
  }

  /// Makes an f32 tensor from values in row-major order.
  public init(_ values: [Float], shape: [Int]) {
    precondition(shape.reduce(1, *) == values.count, "shape \(shape) for \(values.count) values")
    self.init(.f32, shape: shape)
    withFloats { pointer in
      values.withUnsafeBufferPointer { source in
        if let base = source.baseAddress { pointer.update(from: base, count: values.count) }
      }
    }
  }

  /// Looks at `storage` from `byteOffset` on.
  ///
  /// - Returns: nil when the shape overflows, is negative, has too many dimensions, or reaches past the
  ///   storage's end.
  public init?(
    viewing storage: TensorStorage, byteOffset: Int = 0, elementType: ElementType, shape: [Int]
  ) {
    guard let byteCount = Tensor.byteCount(elementType, shape: shape), byteOffset >= 0,
      shape.count <= Self.rankMaximum, byteOffset <= storage.byteCount,
      byteCount <= storage.byteCount - byteOffset
    else { return nil }
    self.init(
      storage: storage, elementType: elementType, extents: Extents(shape), byteOffset: byteOffset)
  }

  /// The bytes a tensor of this type and shape takes; nil for a negative extent or an overflow.
  public static func byteCount(_ elementType: ElementType, shape: [Int]) -> Int? {
    var product = elementType.byteCount
    for extent in shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      if overflow || extent < 0 { return nil }
      product = next
    }
    return product
  }

  /// The number of elements.
  public var count: Int { extents.count }
  /// The number of bytes the elements take.
  public var byteCount: Int { count * elementType.byteCount }
  /// The extent of the first dimension: rows of a matrix.
  public var rowCount: Int { extents.first }
  /// The elements of one row: the product of all dimensions but the first.
  public var rowWidth: Int { extents.width }

  /// Rows `range` of the first dimension, sharing the memory.
  public func rows(_ range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= rowCount, "rows \(range) of \(shape)")
    let rowBytes = rowWidth * elementType.byteCount
    var view = Tensor(
      storage: storage, elementType: elementType, extents: extents,
      byteOffset: byteOffset + range.lowerBound * rowBytes)
    view.extents.first = range.count
    return view
  }

  /// The same elements under another shape with the same count.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(shape.reduce(1, *) == count, "shape \(self.shape) as \(shape)")
    return Tensor(
      storage: storage, elementType: elementType, extents: Extents(shape), byteOffset: byteOffset)
  }

  private init(
    storage: TensorStorage, elementType: ElementType, extents: Extents, byteOffset: Int
  ) {
    self.storage = storage
    self.elementType = elementType
    self.extents = extents
    self.byteOffset = byteOffset
  }

  /// Gives the raw bytes to `body`; the pointer is valid only inside it.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let start = storage.address + byteOffset
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeMutableRawBufferPointer(start: start, count: byteCount))
  }

  /// Gives the f32 elements to `body`; the pointer is valid only inside it.
  ///
  /// - Precondition: `elementType == .f32`.
  public func withFloats<Result, Failure: Error>(
    _ body: (UnsafeMutablePointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(elementType == .f32, "f32 elements of a tensor of \(elementType)")
    let start = (storage.address + byteOffset).assumingMemoryBound(to: Float.self)
    defer { withExtendedLifetime(storage) {} }
    return try body(start)
  }

  /// The f32 elements as an array, for tests and small results.
  public var floats: [Float] {
    withFloats { Array(UnsafeBufferPointer(start: $0, count: count)) }
  }
}
