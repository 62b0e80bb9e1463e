/// A thing found in a picture.
public struct LabelledBox: Sendable, Equatable {
  /// What it is; drawn beside the box, and what its colour is chosen by.
  public var label: String
  /// The left edge in pixels, 0 being the left edge of the picture.
  public var left: Double
  /// The upper edge in pixels, 0 being the upper edge of the picture.
  public var top: Double
  /// The right edge in pixels.
  public var right: Double
  /// The lower edge in pixels.
  public var bottom: Double
  /// The thing itself; of the picture's size, or of another that is stretched to it.
  public var mask: RunLengthMask?

  /// A box in pixels; edges outside the picture, or in the wrong order, are put right when drawn.
  public init(
    label: String, left: Double, top: Double, right: Double, bottom: Double,
    mask: RunLengthMask? = nil
  ) {
    self.label = label
    self.left = left
    self.top = top
    self.right = right
    self.bottom = bottom
    self.mask = mask
  }
}

extension Picture {
  /// The size of one dot of the font, in pixels: small print on the short side, but legible.
  private var dot: Double { max(1, Double(min(width, height)) / 330) }

  /// The picture with boxes, their masks and their labels drawn on it; masks let the picture through.
  ///
  /// Equal labels have equal colours, and different ones different colours as far as the palette
  /// goes. A label stands above its box, or at the nearest other place where it is inside the
  /// picture and hides no other label. Text is drawn as ASCII (see `TextLayout`).
  ///
  /// - Parameter boxes: in pixels of this picture; later ones are drawn over earlier ones.
  /// - Returns: a picture of the same size.
  public func drawing(_ boxes: [LabelledBox]) -> Picture {
    var picture = self
    let palette = Palette(labels: boxes.map(\.label))
    let thickness = max(1, Int((Double(min(width, height)) / 160).rounded()))
    let rects = boxes.map(pixelRect)
    // Below every line and label.
    for box in boxes {
      if let mask = box.mask { picture.fill(mask, palette.colour(of: box.label), opacity: 112) }
    }
    for (box, rect) in zip(boxes, rects) {
      // A thin shadow on either side keeps the line visible on its own colour.
      picture.outline(rect.insetBy(-1), .black, thickness: thickness + 2, opacity: 96)
      picture.outline(rect, palette.colour(of: box.label), thickness: thickness)
    }
    var taken: [PixelRect] = []
    for (box, rect) in zip(boxes, rects) {
      let text = TextLayout.ascii(box.label)
      guard let tag = tagRect(text, beside: rect, avoiding: taken) else { continue }
      let colour = palette.colour(of: box.label)
      picture.fill(tag, colour)
      picture.write(
        text,
        x: Double(tag.left) + 3 * dot,
        y: Double(tag.top) + 2.5 * dot,
        dot: dot,
        colour.ink
      )
      taken.append(tag)
    }
    return picture
  }

  /// The box in whole pixels inside the picture, at least one pixel each way; not-a-number is 0.
  private func pixelRect(_ box: LabelledBox) -> PixelRect {
    func clamp(_ value: Double, _ limit: Int) -> Int {
      value.isNaN ? 0 : Int(min(max(value.rounded(), 0), Double(limit)))
    }
    let (x0, x1) = (clamp(box.left, width), clamp(box.right, width))
    let (y0, y1) = (clamp(box.top, height), clamp(box.bottom, height))
    let left = min(x0, x1, width - 1)
    let top = min(y0, y1, height - 1)
    return PixelRect(
      left: left,
      top: top,
      right: max(x0, x1, left + 1),
      bottom: max(y0, y1, top + 1)
    )
  }

  /// Where the label of a box goes, or nil for an empty label.
  private func tagRect(
    _ text: [UInt8],
    beside rect: PixelRect,
    avoiding taken: [PixelRect]
  ) -> PixelRect? {
    guard !text.isEmpty else { return nil }
    // Longer than the picture is wide is clipped in any case; the minimum keeps Int from overflow.
    let letterCount = min(text.count, width)
    let tagWidth = Int((Double(letterCount) * Font.advance * dot + 5 * dot).rounded(.up))
    let tagHeight = Int((Font.lineHeight * dot + dot).rounded(.up))
    let left = max(0, min(rect.left, width - tagWidth))
    func tag(top: Int) -> PixelRect {
      let inside = max(0, min(top, height - tagHeight))
      return PixelRect(left: left, top: inside, right: left + tagWidth, bottom: inside + tagHeight)
    }
    let tops = [rect.top - tagHeight, rect.top, rect.bottom, rect.bottom - tagHeight]
    let places = tops.filter { $0 >= 0 && $0 + tagHeight <= height }.map(tag(top:))
    return places.first { place in !taken.contains { $0.isOverlapping(place) } }
      ?? places.first ?? tag(top: rect.top)
  }

  /// The picture with a strip of text below it, for answers that are not boxes.
  ///
  /// The strip is as high as the text needs, but no higher than the picture (three lines are always
  /// allowed); what does not fit ends in "...". Empty text leaves the picture as it is.
  ///
  /// - Parameter text: any text; drawn as ASCII (see `TextLayout`).
  /// - Returns: a picture of the same width, and higher by the strip.
  public func captioned(_ text: String) -> Picture {
    guard text.contains(where: { !$0.isWhitespace }) else { return self }
    let lineCountMax = max(3, Int((Double(height) - 2 * captionMargin) / captionLineHeight))
    let lines = captionLines(text, lineCountMax: lineCountMax)
    return captioned(lines, stripHeight: captionHeight(lineCount: lines.count))
  }

  /// The same with a strip for so many lines, whatever the text: pictures of a video must be of one size.
  ///
  /// - Parameters:
  ///   - text: any text, or none.
  ///   - lineCount: at least 1; what does not fit ends in "...".
  /// - Returns: a picture of the same width, and higher by `captionHeight(lineCount:)`.
  public func captioned(_ text: String, lineCount: Int) -> Picture {
    let lines = captionLines(text, lineCountMax: max(1, lineCount))
    return captioned(lines, stripHeight: captionHeight(lineCount: max(1, lineCount)))
  }

  /// How high a strip for so many lines is, in pixels.
  public func captionHeight(lineCount: Int) -> Int {
    Int((2 * captionMargin + Double(lineCount) * captionLineHeight).rounded(.up))
  }

  private var captionMargin: Double { 5 * dot }
  private var captionLineHeight: Double { Font.lineHeight * dot }

  private func captionLines(_ text: String, lineCountMax: Int) -> [[UInt8]] {
    let columnCount = max(1, Int((Double(width) - 2 * captionMargin) / (Font.advance * dot)))
    return TextLayout.wrap(text, columnCount: columnCount, lineCountMax: lineCountMax)
  }

  private func captioned(_ lines: [[UInt8]], stripHeight: Int) -> Picture {
    let strip = [UInt8](repeating: 28, count: 3 * width * stripHeight)
    var picture = Picture(
      checkedWidth: width,
      height: height + stripHeight,
      rgb: rgb + strip,
      warning: warning
    )
    for (index, line) in lines.enumerated() {
      let top = Double(height) + captionMargin + Double(index) * captionLineHeight + 1.5 * dot
      picture.write(line, x: captionMargin, y: top, dot: dot, .white)
    }
    return picture
  }
}
