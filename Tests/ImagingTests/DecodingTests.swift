import Foundation
import Imaging
import Testing

@Suite struct DecodingTests {
  @Test func goldensAreThere() {
    #expect(DecodingCase.all.count >= 80)
    #expect(ResizingCase.all.count >= 79)
  }

  @Test(arguments: DecodingCase.all) func equalsPillow(_ golden: DecodingCase) throws {
    let picture = try Picture.decode(golden.bytes)
    #expect(picture.width == golden.width)
    #expect(picture.height == golden.height)
    #expect(Array(picture.rgb.prefix(12)) == golden.start)
    #expect(hash(picture.rgb) == golden.hash)
  }

  /// Every cut of some files is refused where Pillow refuses it, and the same where it accepts.
  ///
  /// We are stricter in one place: a PNG cut in the checksums after its last pixel.
  @Test(arguments: DecodingCase.all.filter { $0.acceptedCuts != nil })
  func equalsPillowForEveryCut(_ golden: DecodingCase) throws {
    let accepted = Set(golden.acceptedCuts ?? [])
    for count in 0..<golden.bytes.count {
      let bytes = golden.bytes.prefix(count)
      do throws(ImagingError) {
        let picture = try Picture.decode(bytes)
        #expect(accepted.contains(count), "accepted the first \(count) bytes")
        #expect(hash(picture.rgb) == golden.hash)
      } catch {
        let isInChecksums = golden.name.hasPrefix("png") && count > golden.bytes.count - 22
        #expect(
          !accepted.contains(count) || isInChecksums,
          "refused the first \(count) bytes: \(error)"
        )
        let expected: Set<ImagingError.Code> =
          count == 0 ? [.empty] : count < 12 ? [.truncated, .unsupportedFormat] : [.truncated]
        #expect(expected.contains(error.code), "the first \(count) bytes: \(error)")
      }
    }
  }

  @Test func acceptsEveryKindOfBytes() throws {
    let golden = try DecodingCase.named("png-1x1")
    let bytes = [UInt8](golden.bytes)
    let expected = try Picture.decode(golden.bytes)
    #expect(try Picture.decode(bytes) == expected)
    #expect(try Picture.decode(bytes[...]) == expected)
    let decoded = bytes.withUnsafeBytes { raw in
      Result { () throws(ImagingError) in try Picture.decode(raw) }
    }
    #expect(try decoded.get() == expected)
  }

  @Test func collectsWarnings() throws {
    let stray = try Picture.decode(DecodingCase.named("jpeg-stray-bytes").bytes)
    #expect(stray.warning == "Corrupt JPEG data: 3 extraneous bytes before marker 0xdb")
    #expect(try Picture.decode(DecodingCase.named("jpeg-420").bytes).warning == nil)
    let cut = try Picture.decode(DecodingCase.named("jpeg-early-end").bytes)
    #expect(cut.warning == "Corrupt JPEG data: premature end of data segment")
  }

  @Test func refusesWhatIsNoPicture() {
    #expect(code(of: []) == .empty)
    #expect(code(of: [0xff]) == .unsupportedFormat)
    #expect(code(of: Array("GIF89a and so on, for a while".utf8)) == .unsupportedFormat)
    #expect(code(of: Array("<svg xmlns='http://www.w3.org/2000/svg'/>".utf8)) == .unsupportedFormat)
    #expect(code(of: [0xff, 0xd8, 0xff, 0xd9]) == .truncated)
    #expect(code(of: [UInt8](repeating: 0, count: 1000)) == .unsupportedFormat)
  }

  @Test func errorsSayWhatToDo() {
    let error = #expect(throws: ImagingError.self) { try Picture.decode([UInt8]()) }
    #expect(
      error?.description == "empty: there are no bytes to decode (send the bytes of the picture)"
    )
  }
}

func code(
  of bytes: some ContiguousBytes,
  limits: ImageLimits = .standard
) -> ImagingError.Code? {
  do throws(ImagingError) {
    _ = try Picture.decode(bytes, limits: limits)
    return nil
  } catch {
    return error.code
  }
}
