import Foundation
import Imaging
import Testing

/// Bytes from outside are input, never truth: an error or a picture, whatever they are.
@Suite struct RobustnessTests {
  static let limits = ImageLimits(pixelCount: 1_000_000, byteCount: 1 << 20)

  /// Decodes twice: a byte that nobody wrote would differ between the two.
  private func expectErrorOrPicture(_ bytes: [UInt8], _ context: @autoclosure () -> String) {
    let first = Result { () throws(ImagingError) in try Picture.decode(bytes, limits: Self.limits) }
    let second = Result { () throws(ImagingError) in try Picture.decode(bytes, limits: Self.limits)
    }
    #expect(first == second, "\(context())")
    guard case .success(let picture) = first else { return }
    #expect(picture.width >= 1 && picture.height >= 1, "\(context())")
    #expect(picture.width * picture.height <= Self.limits.pixelCount, "\(context())")
    #expect(picture.rgb.count == 3 * picture.width * picture.height, "\(context())")
  }

  @Test(arguments: DecodingCase.all) func everyCut(_ golden: DecodingCase) {
    let bytes = [UInt8](golden.bytes)
    for count in bytes.indices { expectErrorOrPicture(Array(bytes[..<count]), "cut at \(count)") }
  }

  @Test(arguments: ["jpeg", "png", "webp"]) func flippedBytes(_ format: String) throws {
    let cases = DecodingCase.all.filter { $0.name.hasPrefix(format) }.map { [UInt8]($0.bytes) }
    try #require(!cases.isEmpty)
    var generator = SplitMix64(state: 7)
    for round in 0..<5000 {
      var bytes = cases[round % cases.count]
      // Half of the flips hit the headers, where sizes and counts stand.
      let range = round % 2 == 0 ? bytes.count : min(bytes.count, 200)
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        bytes[Int.random(in: 0..<range, using: &generator)] = .random(
          in: 0...255,
          using: &generator
        )
      }
      expectErrorOrPicture(bytes, "\(format), round \(round)")
    }
  }

  @Test func noise() {
    var generator = SplitMix64(state: 11)
    let magics: [[UInt8]] = [
      [0xff, 0xd8, 0xff], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
      Array("RIFF\u{40}\0\0\0WEBPVP8X".utf8), Array("RIFF\u{40}\0\0\0WEBPVP8L".utf8),
    ]
    for round in 0..<4000 {
      let count = Int.random(in: 0..<300, using: &generator)
      let tail = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      expectErrorOrPicture(magics[round % magics.count] + tail, "round \(round)")
    }
  }

  /// Claims of a size far above what the file holds are refused by the header alone.
  @Test func hugeClaims() throws {
    let base = try [UInt8](DecodingCase.named("png-rgb8").bytes)
    func png(_ width: UInt32, _ height: UInt32) -> [UInt8] {
      var bytes = base
      for i in 0..<4 {
        bytes[16 + i] = UInt8(truncatingIfNeeded: width >> (24 - 8 * UInt32(i)))
        bytes[20 + i] = UInt8(truncatingIfNeeded: height >> (24 - 8 * UInt32(i)))
      }
      return bytes
    }
    #expect(code(of: png(100_000, 100_000)) == .tooManyPixels)
    #expect(code(of: png(.max, .max)) == .tooManyPixels)
    #expect(code(of: png(60_000, 60_000)) == .tooManyPixels)
    #expect(code(of: png(70_000, 1)) == .tooManyPixels)
    #expect(code(of: png(0, 5)) == .corrupt)
    #expect(code(of: png(5, 0)) == .corrupt)

    var jpeg = try [UInt8](DecodingCase.named("jpeg-420").bytes)
    let frame = try #require(
      (0..<jpeg.count - 1).first { jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xc0 }
    )
    jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0xff, 0xff, 0xff, 0xff])
    #expect(code(of: jpeg) == .tooManyPixels)
  }

  @Test func byteLimit() throws {
    let bytes = try DecodingCase.named("png-rgb8").bytes
    let exact = ImageLimits(pixelCount: 1000, byteCount: bytes.count)
    #expect(code(of: bytes, limits: exact) == nil)
    let below = ImageLimits(pixelCount: 1000, byteCount: bytes.count - 1)
    #expect(code(of: bytes, limits: below) == .tooLarge)
    let tight = ImageLimits(pixelCount: 19 * 23 - 1, byteCount: bytes.count)
    #expect(code(of: bytes, limits: tight) == .tooManyPixels)
  }

  /// Thousands of scans in a small file would keep a core busy for long.
  @Test func tooManyScans() throws {
    let bytes = try [UInt8](DecodingCase.named("jpeg-progressive").bytes)
    let last = try #require(
      (0..<bytes.count - 1).last { bytes[$0] == 0xff && bytes[$0 + 1] == 0xda }
    )
    let scan = bytes[last..<bytes.count - 2]
    func repeated(_ count: Int) -> [UInt8] {
      let scans = [[UInt8]](repeating: Array(scan), count: count).joined()
      return Array(bytes.dropLast(2)) + scans + bytes.suffix(2)
    }
    #expect(code(of: repeated(20)) == nil)
    #expect(code(of: repeated(150)) == .corrupt)
  }

  /// A broken EXIF block is no reason to refuse the picture; it only has no say.
  @Test func brokenOrientation() throws {
    let plain = try [UInt8](DecodingCase.named("jpeg-exif1").bytes)
    let expected = try Picture.decode(plain)
    let start = try #require(
      (0..<plain.count).first { plain[$0...].starts(with: Array("Exif".utf8)) }
    )
    let tiff = start + 6
    for (offset, value) in [
      (0, [0x58, 0x58]), (2, [0, 0]), (4, [0xff, 0xff, 0xff, 0xff]), (4, [0xff, 0xff, 0xff, 0x7f]),
      (8, [0xff, 0xff]), (8, [0, 0]), (22, [0xff, 0xff]), (24, [0xff]), (26, [9]), (30, [0, 9]),
    ] as [(Int, [UInt8])] {
      var bytes = plain
      bytes.replaceSubrange(tiff + offset..<tiff + offset + value.count, with: value)
      #expect(try Picture.decode(bytes) == expected, "at \(offset)")
    }
  }

  @Test func picturesFromPixelsAreChecked() {
    func code(_ width: Int, _ height: Int, _ count: Int) -> ImagingError.Code? {
      do throws(ImagingError) {
        _ = try Picture(width: width, height: height, rgb: Array(repeating: 0, count: count))
        return nil
      } catch { return error.code }
    }
    #expect(code(2, 3, 18) == nil)
    #expect(code(2, 3, 17) == .invalidSize)
    #expect(code(0, 0, 0) == .invalidSize)
    #expect(code(-1, -1, 3) == .invalidSize)
    #expect(code(.max, .max, 3) == .tooManyPixels)
  }
}
