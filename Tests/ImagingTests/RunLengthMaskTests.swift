import Testing

@testable import Imaging

/// Run lengths against pycocotools, against themselves, and against hostile strings.
@Suite struct RunLengthMaskTests {
  @Test func goldensAreThere() { #expect(MaskCase.all.count > 90) }

  @Test(arguments: MaskCase.all) func equalsCOCO(_ golden: MaskCase) throws {
    let mask = try RunLengthMask(bitmap: golden.bits, width: golden.width, height: golden.height)
    #expect(mask.cocoString == golden.counts)
    #expect(mask.area == golden.area)
    #expect(mask.counts.reduce(0, +) == golden.width * golden.height)
    let read = try RunLengthMask(
      cocoString: golden.counts, width: golden.width, height: golden.height)
    #expect(read == mask)
    let other = try RunLengthMask(
      cocoString: golden.other, width: golden.width, height: golden.height)
    #expect(abs(mask.intersectionOverUnion(with: other) - golden.iou) < 1e-12)
    #expect(other.intersection(with: mask) == mask.intersection(with: other))
    if golden.width * golden.height < 10_000 {
      #expect(mask.bitmap == golden.bits.map { $0 ? 1 : 0 })
      #expect(
        try RunLengthMask(bitmap: mask.bitmap, width: mask.width, height: mask.height) == mask)
    }
  }

  @Test func emptyRunsAreLeftOut() throws {
    let mask = try RunLengthMask(counts: [1, 0, 0, 2, 3, 0, 0], width: 2, height: 3)
    #expect(mask.counts == [1, 2, 3])
    #expect(try RunLengthMask(counts: [0, 6], width: 2, height: 3).counts == [0, 6])
    #expect(try RunLengthMask(counts: [6, 0], width: 2, height: 3).counts == [6])
  }

  @Test func aPatchIsTheSameAsItsPicture() throws {
    var generator = SplitMix64(state: 5)
    for _ in 0..<200 {
      let (width, height) = (
        Int.random(in: 1...12, using: &generator), Int.random(in: 1...12, using: &generator)
      )
      let left = Int.random(in: 0...width, using: &generator)
      let top = Int.random(in: 0...height, using: &generator)
      let across = Int.random(in: 0...(width - left), using: &generator)
      let down = Int.random(in: 0...(height - top), using: &generator)
      let patch = (0..<(across * down)).map { _ in Bool.random(using: &generator) }
      var picture = [Bool](repeating: false, count: width * height)
      for y in 0..<down {
        for x in 0..<across { picture[(top + y) * width + left + x] = patch[y * across + x] }
      }
      #expect(
        try RunLengthMask(
          patch: patch, patchWidth: across, patchHeight: down, left: left, top: top, width: width,
          height: height) == RunLengthMask(bitmap: picture, width: width, height: height))
    }
  }

  @Test(arguments: ScoreCase.all) func resizedScoresEqualPillows(_ golden: ScoreCase) throws {
    #expect(try golden.mask().cocoString == golden.counts)
  }

  @Test func scoresOutsideThePictureAreCutOff() throws {
    #expect(ScoreCase.all.count == 60)
    let scores: [Float] = [1, -1, -1, 1]
    func mask(_ left: Int, _ top: Int, _ right: Int, _ bottom: Int) throws -> RunLengthMask {
      try RunLengthMask(
        scores: scores, scoreWidth: 2, scoreHeight: 2, left: left, top: top, right: right,
        bottom: bottom, width: 4, height: 3)
    }
    #expect(try mask(0, 0, 2, 2).bitmap == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    #expect(try mask(3, 2, 5, 4).bitmap == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    #expect(try mask(-1, -1, 1, 1).bitmap == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    for (left, top, right, bottom) in [(2, 0, 2, 3), (3, 2, 1, 1), (9, 9, 12, 12), (-5, -5, 0, 0)] {
      let empty = try mask(left, top, right, bottom)
      #expect(empty.area == 0 && empty.counts == [12])
    }
    #expect(code { try mask(0, 0, 70_000, 2) } == .invalidSize)
    #expect(code { try mask(.min, 0, .max, 2) } == .invalidSize)
    #expect(
      code {
        try RunLengthMask(
          scores: [1], scoreWidth: 1, scoreHeight: 2, left: 0, top: 0, right: 1, bottom: 1,
          width: 1, height: 1)
      } == .invalidSize)
  }

  @Test func aMaskIsAGreyPNG() throws {
    let bits: [UInt8] = [0, 1, 1, 0, 0, 1]
    let png = try RunLengthMask(bitmap: bits, width: 3, height: 2).encodedPNG()
    // IHDR: 8 bits a sample, colour type 0.
    #expect(Array(png[24...25]) == [8, 0])
    let picture = try Picture.decode(png)
    #expect(picture.width == 3 && picture.height == 2)
    #expect(picture.rgb == bits.flatMap { [UInt8](repeating: $0 * 255, count: 3) })
  }

  @Test(arguments: [
    [], [7], [-1, 7], [2, 5], [Int.max, 1], [3, Int.min, 3], [1, 2, 2], [6, 1],
  ])
  func wrongCountsAreErrors(_ counts: [Int]) {
    #expect(code { try RunLengthMask(counts: counts, width: 2, height: 3) } == .invalidMask)
  }

  @Test func wrongSizesAreErrors() {
    #expect(code { try RunLengthMask(counts: [], width: 0, height: 3) } == .invalidSize)
    #expect(
      code { try RunLengthMask(cocoString: "0", width: 65_535, height: 65_535) } == .tooManyPixels)
    #expect(code { try RunLengthMask(bitmap: [UInt8(1)], width: 1, height: 2) } == .invalidSize)
    #expect(
      code {
        try RunLengthMask(
          patch: [true], patchWidth: 1, patchHeight: 1, left: 2, top: 0, width: 2, height: 1)
      } == .invalidSize)
    #expect(
      code {
        try RunLengthMask(
          patch: [], patchWidth: Int.max, patchHeight: 0, left: 1, top: 0, width: 2, height: 1)
      } == .invalidSize)
  }

  @Test func hostileStringsAreErrorsOrMasks() throws {
    for text in ["", "/", "p", "é", "oooooooo", "_______O", "O", "P", "5", "7", "60O"] {
      #expect(code { try RunLengthMask(cocoString: text, width: 2, height: 3) } == .invalidMask)
    }
    var generator = SplitMix64(state: 11)
    var maskCount = 0
    for _ in 0..<20_000 {
      let length = Int.random(in: 0...9, using: &generator)
      let bytes = (0..<length).map { _ in UInt8.random(in: 46...113, using: &generator) }
      let text = String(decoding: bytes, as: UTF8.self)
      guard let mask = try? RunLengthMask(cocoString: text, width: 4, height: 4) else { continue }
      maskCount += 1
      #expect(mask.counts.reduce(0, +) == 16)
      #expect(
        try RunLengthMask(cocoString: mask.cocoString, width: 4, height: 4) == mask)
    }
    #expect(maskCount > 0)
  }

  private func code(_ make: () throws -> RunLengthMask) -> ImagingError.Code? {
    do {
      _ = try make()
      return nil
    } catch { return (error as? ImagingError)?.code }
  }
}
