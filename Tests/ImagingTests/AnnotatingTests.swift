import Testing

@testable import Imaging

@Suite struct AnnotatingTests {
  private let blank: Picture

  init() throws {
    blank = try Picture(
      width: 160,
      height: 120,
      rgb: Array(repeating: 128, count: 3 * 160 * 120)
    )
  }

  private func pixel(_ picture: Picture, _ x: Int, _ y: Int) -> Colour {
    let offset = 3 * (y * picture.width + x)
    return Colour(
      red: picture.rgb[offset],
      green: picture.rgb[offset + 1],
      blue: picture.rgb[offset + 2]
    )
  }

  @Test func outlinesBoxesInTheColourOfTheirLabel() throws {
    let boxes = [
      LabelledBox(label: "cat", left: 40, top: 40, right: 100, bottom: 100),
      LabelledBox(label: "dog", left: 110, top: 60, right: 150, bottom: 100),
    ]
    let drawn = blank.drawing(boxes)
    let palette = Palette(labels: ["cat", "dog"])
    #expect(palette.colour(of: "cat") != palette.colour(of: "dog"))
    for (x, y) in [(40, 99), (99, 99), (99, 40), (40, 70)] {
      #expect(pixel(drawn, x, y) == palette.colour(of: "cat"))
    }
    #expect(pixel(drawn, 149, 80) == palette.colour(of: "dog"))
    #expect(pixel(drawn, 70, 70) == pixel(blank, 70, 70), "the inside stays")
    #expect(pixel(drawn, 10, 110) == pixel(blank, 10, 110), "the outside stays")
  }

  @Test func masksAreDrawnTranslucently() throws {
    // Of half the picture's size: stretched to it.
    let mask = try RunLengthMask(
      patch: [Bool](repeating: true, count: 400), patchWidth: 20, patchHeight: 20, left: 25,
      top: 25, width: 80, height: 60)
    let box = LabelledBox(label: "cat", left: 40, top: 40, right: 100, bottom: 100, mask: mask)
    let drawn = blank.drawing([box])
    let full = Palette(labels: ["cat"]).colour(of: "cat")
    let inside = pixel(drawn, 70, 70)
    #expect(inside != pixel(blank, 70, 70) && inside != full)
    #expect(pixel(drawn, 50, 50) == inside && pixel(drawn, 89, 89) == inside)
    #expect(pixel(drawn, 95, 70) == pixel(blank, 95, 70), "beside the mask")
    #expect(pixel(drawn, 40, 70) == full, "the outline is above it")
  }

  @Test func coloursAreStableAndDistinct() {
    let labels = (0..<Palette.colours.count).map { "label \($0)" }
    let palette = Palette(labels: labels)
    for (index, label) in labels.enumerated() {
      for other in labels[..<index] {
        #expect(palette.colour(of: label) != palette.colour(of: other))
      }
    }
    #expect(
      Palette(labels: ["cat"]).colour(of: "cat")
        == Palette(labels: ["cat", "cat"]).colour(of: "cat")
    )
    let many = Palette(labels: (0..<100).map(String.init))
    #expect(Palette.colours.contains(many.colour(of: "99")))
  }

  /// The label of a box at the top edge must still be inside the picture.
  @Test(arguments: [(-50.0, -50.0), (0, 0), (155, 115), (150, -3), (-3, 110)])
  func labelsStayInside(_ left: Double, _ top: Double) {
    let box = LabelledBox(label: "dog", left: left, top: top, right: left + 30, bottom: top + 20)
    let colour = Palette(labels: ["dog"]).colour(of: "dog")
    let drawn = blank.drawing([box])
    let count = (0..<160 * 120).count { pixel(drawn, $0 % 160, $0 / 160) == colour }
    #expect(count > 100, "a label is about 24 x 13 pixels, half of them its ground")
  }

  @Test(arguments: [
    (Double.nan, 0.0, Double.infinity, 50.0), (-.infinity, -.infinity, .infinity, .infinity),
    (90, 80, 10, 20), (500, 500, 600, 600), (1e300, -1e300, -1e300, 1e300), (5, 5, 5, 5),
  ])
  func survivesAnyNumbers(_ left: Double, _ top: Double, _ right: Double, _ bottom: Double) throws {
    let box = LabelledBox(label: "b", left: left, top: top, right: right, bottom: bottom)
    let drawn = blank.drawing([box])
    #expect(drawn.rgb.count == blank.rgb.count)
    #expect(drawn != blank)
    let dot = try Picture(width: 1, height: 1, rgb: [1, 2, 3])
    #expect(dot.drawing([box]).rgb.count == 3)
  }

  @Test func survivesAnyText() {
    let text = String(repeating: "\u{1F468}\u{200D}\u{1F469} é\u{0}\n\t", count: 500)
    let box = LabelledBox(label: text, left: 1, top: 1, right: 20, bottom: 20)
    #expect(blank.drawing([box]).rgb.count == blank.rgb.count)
    let captioned = blank.captioned(text)
    #expect(captioned.height <= 2 * blank.height + 1)
  }

  @Test func captionsBelowThePicture() {
    #expect(blank.captioned(" \n ") == blank)
    let captioned = blank.captioned("yes")
    #expect(captioned.width == blank.width)
    #expect(Array(captioned.rgb.prefix(blank.rgb.count)) == blank.rgb)
    let strip = captioned.rgb.dropFirst(blank.rgb.count)
    #expect(strip.count == 3 * captioned.width * (captioned.height - blank.height))
    #expect(strip.contains(255), "there is white ink")
    #expect(strip.first == 28)
    #expect(captioned.height < blank.captioned("yes\nno").height)
  }

  @Test func wrapsBetweenWords() {
    func wrap(_ text: String, _ columns: Int, _ lines: Int = 9) -> [String] {
      TextLayout.wrap(text, columnCount: columns, lineCountMax: lines)
        .map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(wrap("a cat on a mat", 6) == ["a cat", "on a", "mat"])
    #expect(wrap("incomprehensible", 6) == ["incomp", "rehens", "ible"])
    #expect(wrap("one\ntwo", 20) == ["one", "two"])
    #expect(wrap("naïve 猫", 20) == ["naive ?"])
    #expect(wrap("a b c d e f", 3, 2) == ["a b", "..."])
    #expect(wrap("abc", 1, 2) == ["a", "."])
  }

  @Test func everyLetterIsThereAndDifferent() {
    #expect(Font.glyphs.count == 95)
    #expect(Font.glyphs.dropFirst().allSatisfy { !$0.strokes.isEmpty })
    let shapes = Set(Font.glyphs.map { $0.strokes.map { "\($0)" }.joined() })
    #expect(shapes.count == 95)
  }
}
