import CImageCodecs
import Imaging
import Testing

/// Planes of video to RGB, and the same bits with all vector instructions.
@Suite struct PlanesTests {
  private static let weights = [(0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)]

  private func form(_ isHalved: Bool, _ isFullRange: Bool, _ index: Int = 0) -> PlanarForm {
    let (red, blue) = Self.weights[index]
    return PlanarForm(
      isHalved: isHalved, isFullRange: isFullRange, redWeight: red, blueWeight: blue)
  }

  /// Colours to planes by the standards' formulas, in double.
  private func coded(_ rgb: [Double], _ form: PlanarForm) -> [UInt8] {
    let green = 1 - form.redWeight - form.blueWeight
    let luma = form.redWeight * rgb[0] + green * rgb[1] + form.blueWeight * rgb[2]
    let blue = (rgb[2] - luma) / (2 * (1 - form.blueWeight))
    let red = (rgb[0] - luma) / (2 * (1 - form.redWeight))
    let (low, lumaRange, colourRange) = form.isFullRange ? (0.0, 255.0, 255.0) : (16, 219, 224)
    return [
      low + luma * lumaRange / 255, 128 + blue * colourRange / 255, 128 + red * colourRange / 255,
    ]
    .map { UInt8(min(255, max(0, $0.rounded()))) }
  }

  /// A picture of one colour has that colour in every pixel, whatever its size, to a step of the coding.
  @Test(arguments: [(1, 1), (2, 3), (17, 5), (64, 48), (33, 2)])
  func oneColour(_ width: Int, _ height: Int) throws {
    let colours: [[Double]] = [
      [0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128],
      [10, 200, 90], [250, 240, 3],
    ]
    for index in Self.weights.indices {
      for (isHalved, isFullRange) in [(true, false), (true, true), (false, false), (false, true)] {
        let form = form(isHalved, isFullRange, index)
        let colourCount = (form.byteCount(width: width, height: height) - width * height) / 2
        for colour in colours {
          let bytes = coded(colour, form)
          let planes =
            [UInt8](repeating: bytes[0], count: width * height)
            + [UInt8](repeating: bytes[1], count: colourCount)
            + [UInt8](repeating: bytes[2], count: colourCount)
          let picture = try Picture(width: width, height: height, planes: planes, form: form)
          for (at, value) in picture.rgb.enumerated() {
            #expect(abs(Double(value) - colour[at % 3]) <= 2.5, "\(colour) \(form) \(value)")
          }
        }
      }
    }
  }

  /// Between two colours: halves and quarters where the samples of video and of JPEG lie.
  @Test func colourBetweenSamples() throws {
    let luma = [UInt8](repeating: 128, count: 8)
    let steps = { (isFullRange: Bool) in
      try Picture(
        width: 8, height: 1, planes: luma + [128, 128, 128, 128] + [128, 128, 192, 192],
        form: PlanarForm(isHalved: true, isFullRange: isFullRange)
      ).rgb
    }
    let full = try stride(from: 0, to: 24, by: 3).map { Int(try steps(true)[$0]) }
    // 64 steps of Cr are 1.402 * 64 = 89.7 of red; 3/4 and 1/4 on either side of the border.
    #expect(full == [128, 128, 128, 150, 195, 218, 218, 218])
    let video = try stride(from: 0, to: 24, by: 3).map { Int(try steps(false)[$0]) }
    let (low, high) = (video[0], video[7])
    #expect(video[..<3].allSatisfy { $0 == low } && video[4...].allSatisfy { $0 == high })
    #expect(abs(video[3] - (low + high) / 2) <= 1)
  }

  @Test func wrongCountsAreRefused() {
    let form = PlanarForm(isHalved: true, isFullRange: false)
    #expect(form.byteCount(width: 3, height: 5) == 15 + 2 * 6)
    for count in [0, 26, 28] {
      #expect(throws: ImagingError.self) {
        try Picture(
          width: 3, height: 5, planes: [UInt8](repeating: 0, count: count), form: form)
      }
    }
  }

  @Test(arguments: [(1, 1), (16, 16), (15, 17), (33, 31), (640, 7), (130, 3)])
  func theSameBitsWithAllVectors(_ width: Int, _ height: Int) {
    var generator = SplitMix64(state: UInt64(width * 1000 + height))
    let bytes = (0..<3 * width * height + 6).map { _ in UInt8(generator.next() >> 56) }
    func bits(_ vectors: image_vectors, _ isHalved: Bool, _ isFullRange: Bool) -> [UInt8] {
      var rgb = [UInt8](repeating: 0, count: 3 * width * height)
      let status = image_from_yuv_on(
        vectors, bytes, UInt32(width), UInt32(height), isHalved, 0.299, 0.114, isFullRange, &rgb)
      #expect(status == Int32(IMAGE_OK.rawValue))
      return rgb
    }
    func resized(_ vectors: image_vectors, _ newWidth: Int, _ newHeight: Int) -> [UInt8] {
      var rgb = [UInt8](repeating: 0, count: 3 * newWidth * newHeight)
      let status = image_resample_bicubic_on(
        vectors, bytes, UInt32(width), UInt32(height), &rgb, UInt32(newWidth), UInt32(newHeight))
      #expect(status == Int32(IMAGE_OK.rawValue))
      return rgb
    }
    // Those that this CPU has.
    let all = [IMAGE_AVX2, IMAGE_AVX512].filter { $0.rawValue <= image_vectors().rawValue }
    for (isHalved, isFullRange) in [(true, false), (true, true), (false, false), (false, true)] {
      let expected = bits(IMAGE_PORTABLE, isHalved, isFullRange)
      for vectors in all { #expect(bits(vectors, isHalved, isFullRange) == expected) }
    }
    for (newWidth, newHeight) in [(1, 1), (28, 28), (17, 300), (3 * width, 2 * height)] {
      let expected = resized(IMAGE_PORTABLE, newWidth, newHeight)
      for vectors in all { #expect(resized(vectors, newWidth, newHeight) == expected) }
    }
  }
}
