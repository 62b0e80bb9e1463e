import CImageCodecs
import Imaging
import Testing

@Suite struct ResizingTests {
  /// The picture the golden script made from the same seed.
  private func source(_ golden: ResizingCase) throws -> Picture {
    var generator = SplitMix64(state: golden.seed)
    let count = 3 * golden.from[0] * golden.from[1]
    let rgb = (0..<count).map { _ in
      let byte = UInt8(generator.next() >> 56)
      return golden.isHard ? (byte >> 7) * 255 : byte
    }
    return try Picture(width: golden.from[0], height: golden.from[1], rgb: rgb)
  }

  @Test(arguments: ResizingCase.all) func equalsPillow(_ golden: ResizingCase) throws {
    let resized = try source(golden).resized(toWidth: golden.to[0], height: golden.to[1])
    #expect(resized.width == golden.to[0])
    #expect(resized.height == golden.to[1])
    #expect(Array(resized.rgb.prefix(12)) == golden.start)
    #expect(hash(resized.rgb) == golden.hash)
  }

  /// All vector instructions of this CPU, and none, have the same bits, and those are Pillow's.
  @Test(arguments: ResizingCase.all) func allVectorsEqualIt(_ golden: ResizingCase) throws {
    let picture = try source(golden)
    let all = [IMAGE_PORTABLE, IMAGE_AVX2, IMAGE_AVX512]
    for vectors in all where vectors.rawValue <= image_vectors().rawValue {
      var target = [UInt8](repeating: 0, count: 3 * golden.to[0] * golden.to[1])
      let status = image_resample_bicubic_on(
        vectors, picture.rgb, UInt32(picture.width), UInt32(picture.height), &target,
        UInt32(golden.to[0]), UInt32(golden.to[1]))
      #expect(status == 0)
      #expect(hash(target) == golden.hash, "\(vectors)")
    }
  }

  @Test func sameSizeIsTheSamePicture() throws {
    let picture = try source(ResizingCase.all[4])
    #expect(try picture.resized(toWidth: picture.width, height: picture.height) == picture)
  }

  /// A constant picture stays constant: the weights of every window sum to one.
  @Test(arguments: [(1, 1), (3, 200), (200, 3), (223, 225), (448, 448)])
  func constantStaysConstant(_ width: Int, _ height: Int) throws {
    let picture = try Picture(
      width: 77,
      height: 131,
      rgb: Array(repeating: 201, count: 3 * 77 * 131)
    )
    let resized = try picture.resized(toWidth: width, height: height)
    #expect(resized.rgb.allSatisfy { $0 == 201 })
  }

  @Test func refusesImpossibleSizes() throws {
    let picture = try Picture(width: 1, height: 1, rgb: [1, 2, 3])
    func code(_ width: Int, _ height: Int) -> ImagingError.Code? {
      do throws(ImagingError) {
        _ = try picture.resized(toWidth: width, height: height)
        return nil
      } catch { return error.code }
    }
    #expect(code(0, 5) == .invalidSize)
    #expect(code(5, -1) == .invalidSize)
    #expect(code(.max, 1) == .tooManyPixels)
    #expect(code(65_536, 1) == .tooManyPixels)
    #expect(code(60_000, 60_000) == .tooManyPixels)
  }

  /// The longest sides there are; memory must depend on the target, not on their product.
  @Test(arguments: [(65_535, 1), (1, 65_535)])
  func longestSides(_ width: Int, _ height: Int) throws {
    let picture = try Picture(
      width: width,
      height: height,
      rgb: Array(repeating: 9, count: 3 * 65_535)
    )
    let resized = try picture.resized(toWidth: 896, height: 896)
    #expect(resized.rgb.allSatisfy { $0 == 9 })
  }
}
