import Messaging
import Tensors
import Testing

/// Rows in fewer bytes: what is lost has a bound, and depends on the row alone.
@Suite struct TensorEncodingTests {
  private func sent(
    _ tensor: Tensor, _ encoding: TensorEncoding
  ) throws -> (batch: MicroBatch, byteCount: Int) {
    var batch = MicroBatch(
      epoch: 1, sequence: 1, stage: 0, route: [0], segments: [], tensor: tensor)
    batch.encoding = encoding
    let frames = try batch.encode().map { Frame(bytes: $0.bytes) }
    return (try MicroBatch.decode(frames), frames.reduce(0) { $0 + $1.byteCount })
  }

  private func rows(_ count: Int, _ width: Int, seed: UInt64) -> Tensor {
    var seeded = Seeded(seed: seed)
    // A few values a thousand times larger than the rest, as a residual stream has them.
    let values = (0..<count * width).map { _ -> Float in
      let value = Float.random(in: -3...3, using: &seeded)
      return seeded.int(0...99) == 0 ? value * 1000 : value
    }
    return Tensor(values, shape: [count, width])
  }

  @Test(arguments: [(1, 1), (1, 7), (3, 64), (5, 1000), (40, 2048)])
  func errorsAreBounded(_ count: Int, _ width: Int) throws {
    let tensor = rows(count, width, seed: UInt64(count))
    #expect(try sent(tensor, .exact).batch.tensor?.floats == tensor.floats)
    let rounded = try #require(try sent(tensor, .bf16).batch.tensor)
    #expect(rounded.shape == tensor.shape && rounded.elementType == .f32)
    for (a, e) in zip(rounded.floats, tensor.floats) {
      // Eight bits of significand: half a step of the last one.
      #expect(abs(a - e) <= abs(e) / 256, "\(a) for \(e)")
      #expect(a.bitPattern & 0xffff == 0)
    }
    let coded = try #require(try sent(tensor, .int8).batch.tensor)
    for row in 0..<count {
      let (actual, expected) = (
        coded.rows(row..<row + 1).floats, tensor.rows(row..<row + 1).floats
      )
      let step = (expected.map { abs($0) }.max() ?? 0) / 127
      for (a, e) in zip(actual, expected) {
        #expect(abs(a - e) <= step * 0.5001, "\(a) for \(e), a step of \(step)")
      }
    }
  }

  @Test func bytesAreHalfAndAQuarter() throws {
    let tensor = rows(64, 1024, seed: 4)
    let whole = try sent(tensor, .exact).byteCount
    #expect(try abs(sent(tensor, .bf16).byteCount * 2 - whole) < 200)
    #expect(try abs(sent(tensor, .int8).byteCount * 4 - whole) < 64 * 16 + 400)
  }

  @Test func halvesAreRoundedToEven() throws {
    // 1 + 1/256 lies in the middle of two bf16; so does 1 + 3/256.
    let tensor = Tensor([1 + 1 / 256, 1 + 3 / 256, -1 - 1 / 256, .infinity, 0, -0], shape: [6])
    let values = try #require(try sent(tensor, .bf16).batch.tensor).floats
    #expect(values == [1, 1 + 4 / 256, -1, .infinity, 0, 0])
  }

  /// Law 2: a row's bits are the same whoever stands beside it.
  @Test(arguments: [TensorEncoding.bf16, .int8]) func companyDoesNotMatter(
    _ encoding: TensorEncoding
  ) throws {
    let tensor = rows(17, 333, seed: 9)
    let together = try #require(try sent(tensor, encoding).batch.tensor)
    for row in 0..<17 {
      let alone = try #require(try sent(tensor.rows(row..<row + 1), encoding).batch.tensor)
      #expect(
        alone.floats.map(\.bitPattern) == together.rows(row..<row + 1).floats.map(\.bitPattern))
    }
  }

  /// What has no scale travels as it is, and so does everything that isn't f32.
  @Test func whatCanNotBeEncodedIsSentExactly() throws {
    for odd in [Float.infinity, .nan, -.infinity] {
      var values = rows(2, 9, seed: 1).floats
      values[11] = odd
      let (batch, _) = try sent(Tensor(values, shape: [2, 9]), .int8)
      #expect(batch.encoding == .exact)
      #expect(batch.tensor?.floats.map(\.bitPattern) == values.map(\.bitPattern))
    }
    let tiny = Tensor([1e-38, -2e-39, 0], shape: [1, 3])
    #expect(try sent(tiny, .int8).batch.tensor?.floats == tiny.floats)
    #expect(try sent(Tensor([0, 0], shape: [1, 2]), .int8).batch.tensor?.floats == [0, 0])
    let pixels = Tensor(.u8, shape: [1, 2, 2, 3])
    pixels.withBytes { $0.copyBytes(from: (0..<12).map { UInt8($0 * 20) }) }
    for encoding in TensorEncoding.allCases {
      let (batch, _) = try sent(pixels, encoding)
      #expect(batch.encoding == .exact && batch.tensor?.elementType == .u8)
    }
  }

  /// A scale is a stranger's number.
  @Test func scalesThatAreNoneAreRefused() throws {
    let tensor = rows(3, 4096, seed: 2)
    var batch = MicroBatch(
      epoch: 1, sequence: 1, stage: 0, route: [0], segments: [], tensor: tensor)
    batch.encoding = .int8
    let frames = try batch.encode()
    #expect(frames.count == 2)
    for scale in [Float.nan, .infinity, -1, .greatestFiniteMagnitude] {
      var payload = frames[1].bytes
      withUnsafeBytes(of: scale) { payload.replaceSubrange(4100..<4104, with: $0) }
      // With the checksum of what was changed, as whoever changes it on purpose would send it.
      let old = frames[1].withBytes { Checksum.of($0) }
      let new = payload.withUnsafeBytes { Checksum.of($0) }
      let header = replaced(frames[0].bytes, old, new)
      #expect(
        code { try MicroBatch.decode([Frame(bytes: header), Frame(bytes: payload)]) } == .malformed,
        "\(scale)")
    }
  }

  private func replaced(_ bytes: [UInt8], _ old: UInt64, _ new: UInt64) -> [UInt8] {
    let pattern = withUnsafeBytes(of: old.littleEndian) { Array($0) }
    guard
      let place = bytes.indices.first(where: { bytes[$0...].starts(with: pattern) })
    else { return bytes }
    var bytes = bytes
    bytes.replaceSubrange(
      place..<place + 8, with: withUnsafeBytes(of: new.littleEndian) { Array($0) })
    return bytes
  }
}
