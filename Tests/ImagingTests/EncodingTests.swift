import Foundation
import Imaging
import Testing

@Suite struct EncodingTests {
  @Test(arguments: ["png-rgb8", "jpeg-420", "jpeg-1x17", "png-1x1"])
  func pngKeepsEveryByte(_ name: String) throws {
    let picture = try Picture.decode(DecodingCase.named(name).bytes)
    #expect(try Picture.decode(picture.encodedPNG()) == picture)
  }

  @Test func jpegStaysClose() throws {
    let picture = try Picture.decode(DecodingCase.named("jpeg-low").bytes)
    let again = try Picture.decode(picture.encodedJPEG(quality: 95))
    #expect(again.width == picture.width && again.height == picture.height)
    let difference = zip(again.rgb, picture.rgb).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    #expect(difference / picture.rgb.count <= 4, "mean difference of a channel")
  }

  @Test func jpegQualityIsClamped() throws {
    let picture = try Picture.decode(DecodingCase.named("jpeg-420").bytes)
    #expect(try picture.encodedJPEG(quality: -7) == picture.encodedJPEG(quality: 1))
    #expect(try picture.encodedJPEG(quality: 900) == picture.encodedJPEG(quality: 100))
    #expect(try picture.encodedJPEG(quality: 20).count < picture.encodedJPEG(quality: 90).count)
  }

  @Test func jpegSaysWhenASideIsTooLong() throws {
    let picture = try Picture(
      width: 65_535,
      height: 1,
      rgb: Array(repeating: 0, count: 3 * 65_535)
    )
    let error = #expect(throws: ImagingError.self) { try picture.encodedJPEG() }
    #expect(error?.code == .unsupportedFormat)
    #expect(try Picture.decode(picture.encodedPNG()) == picture)
  }
}
