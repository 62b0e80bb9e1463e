import Tensors
import Testing

/// Shapes, borders and views; the arithmetic is held by KernelsTests.
@Suite struct TensorTests {
  @Test func byteCountsAreCheckedForOverflow() {
    #expect(Tensor.byteCount(.f32, shape: [3, 5]) == 60)
    #expect(Tensor.byteCount(.i64, shape: []) == 8)
    #expect(Tensor.byteCount(.f32, shape: [0, .max]) == 0)
    #expect(Tensor.byteCount(.f32, shape: [.max]) == nil)
    #expect(Tensor.byteCount(.u8, shape: [1 << 32, 1 << 32]) == nil)
    #expect(Tensor.byteCount(.u8, shape: [-1]) == nil)
    #expect(Tensor.byteCount(.u8, shape: [-1, -1]) == nil)
  }

  @Test func viewsStayInsideTheirStorage() {
    let storage = TensorStorage(byteCount: 16)
    #expect(Tensor(viewing: storage, elementType: .f32, shape: [4]) != nil)
    #expect(Tensor(viewing: storage, byteOffset: 16, elementType: .f32, shape: [0]) != nil)
    #expect(Tensor(viewing: storage, byteOffset: 1, elementType: .f32, shape: [4]) == nil)
    #expect(Tensor(viewing: storage, byteOffset: 17, elementType: .u8, shape: [0]) == nil)
    #expect(Tensor(viewing: storage, byteOffset: -1, elementType: .u8, shape: [1]) == nil)
    #expect(Tensor(viewing: storage, byteOffset: .max, elementType: .u8, shape: [1]) == nil)
    #expect(Tensor(viewing: storage, elementType: .u8, shape: [.max, 2]) == nil)
    let ones = [Int](repeating: 1, count: Tensor.rankMaximum)
    #expect(Tensor(viewing: storage, elementType: .u8, shape: ones)?.shape == ones)
    #expect(Tensor(viewing: storage, elementType: .u8, shape: ones + [1]) == nil)
    // Nothing is multiplied that a 0 in front makes nothing of.
    let empty = Tensor(viewing: storage, elementType: .u8, shape: [0, .max, 2])
    #expect(empty?.count == 0 && empty?.byteCount == 0)
  }

  @Test func shapesAreKept() {
    #expect(Tensor(shape: []).shape == [] && Tensor(shape: []).count == 1)
    let tensor = Tensor(shape: [4, 3, 2])
    #expect(tensor.shape == [4, 3, 2] && tensor.rowCount == 4 && tensor.rowWidth == 6)
    #expect(tensor.rows(1..<3).shape == [2, 3, 2])
    #expect(tensor.reshaped([24]).rowWidth == 1 && Tensor(rows: 2, width: 5).shape == [2, 5])
  }

  @Test func rowsShareMemoryAndCopiesDoNot() {
    let tensor = Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2])
    let copy = tensor.copied()
    tensor.rows(1..<2).scale(by: 10)
    #expect(tensor.floats == [1, 2, 30, 40, 5, 6])
    #expect(copy.floats == [1, 2, 3, 4, 5, 6])
    #expect(tensor.rows(2..<3).floats == [5, 6])
    #expect(tensor.rows(3..<3).count == 0)
    #expect(tensor.reshaped([2, 3]).rowWidth == 3)
  }

  @Test func unalignedFloatsAreCopiedBeforeUse() throws {
    let storage = TensorStorage(byteCount: 16)
    let odd = try #require(
      Tensor(viewing: storage, byteOffset: 2, elementType: .f32, shape: [2]))
    odd.withBytes { bytes in
      for (index, value) in [Float(1.5), -2].enumerated() {
        bytes.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
      }
    }
    #expect(odd.convertedToF32()?.floats == [1.5, -2])
    #expect(Tensor(.i32, shape: [1]).convertedToF32() == nil)
  }

  @Test func productAddsItsBias() {
    let product = Linear(
      weight: Tensor([1, 2, 3, 4], shape: [2, 2]), bias: Tensor([10, 20], shape: [2]))
    #expect(product(Tensor([1, 1, 0, 2], shape: [2, 2])).floats == [13, 27, 14, 28])
  }

  @Test func storageIsReleasedOnceAndLast() {
    final class Count: Sendable {
      nonisolated(unsafe) var value = 0
    }
    let count = Count()
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
    defer { memory.deallocate() }
    do {
      let tensor = Tensor(
        viewing: TensorStorage(adopting: memory, byteCount: 8) { count.value += 1 },
        elementType: .u8, shape: [8])
      let rows = tensor?.rows(2..<4)
      #expect(rows?.count == 2 && count.value == 0)
    }
    #expect(count.value == 1)
  }
}
