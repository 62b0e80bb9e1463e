/// A colour of full strength.
struct Colour: Sendable, Equatable {
  var red, green, blue: UInt8

  /// Perceived brightness, 0 to 255 (the weights of ITU-R BT.601).
  var luma: Int { (299 * Int(red) + 587 * Int(green) + 114 * Int(blue)) / 1000 }
  /// Black or white, whichever is easier to read on this.
  var ink: Colour { luma > 130 ? .black : .white }

  static let black = Colour(red: 0, green: 0, blue: 0)
  static let white = Colour(red: 255, green: 255, blue: 255)
}

/// A rectangle of whole pixels; `right` and `bottom` are the first column and row outside.
struct PixelRect: Sendable, Equatable {
  var left, top, right, bottom: Int

  var width: Int { right - left }
  var height: Int { bottom - top }

  func clipped(to other: PixelRect) -> PixelRect {
    PixelRect(
      left: max(left, other.left),
      top: max(top, other.top),
      right: min(right, other.right),
      bottom: min(bottom, other.bottom)
    )
  }

  func isOverlapping(_ other: PixelRect) -> Bool {
    let shared = clipped(to: other)
    return shared.width > 0 && shared.height > 0
  }

  func insetBy(_ distance: Int) -> PixelRect {
    PixelRect(
      left: left + distance,
      top: top + distance,
      right: right - distance,
      bottom: bottom - distance
    )
  }
}

extension Picture {
  var bounds: PixelRect { PixelRect(left: 0, top: 0, right: width, bottom: height) }

  /// Paints over a rectangle; what lies outside the picture is left out.
  ///
  /// - Parameters:
  ///   - rect: in pixels of this picture.
  ///   - colour: what to paint with.
  ///   - opacity: 0 (nothing) to 256 (covered).
  mutating func fill(_ rect: PixelRect, _ colour: Colour, opacity: Int = 256) {
    let inside = rect.clipped(to: bounds)
    guard inside.width > 0, inside.height > 0 else { return }
    for y in inside.top..<inside.bottom {
      for x in inside.left..<inside.right { blend(3 * (y * width + x), colour, opacity) }
    }
  }

  /// Paints over a mask, stretched to the picture where its size is another.
  mutating func fill(_ mask: RunLengthMask, _ colour: Colour, opacity: Int) {
    let bits = mask.bitmap
    for y in 0..<height {
      let row = y * mask.height / height * mask.width
      for x in 0..<width where bits[row + x * mask.width / width] != 0 {
        blend(3 * (y * width + x), colour, opacity)
      }
    }
  }

  /// Paints the border of a rectangle, `thickness` pixels inwards.
  mutating func outline(
    _ rect: PixelRect,
    _ colour: Colour,
    thickness: Int,
    opacity: Int = 256
  ) {
    let inner = rect.insetBy(thickness)
    guard inner.width > 0, inner.height > 0 else { return fill(rect, colour, opacity: opacity) }
    var (top, bottom, left, right) = (rect, rect, rect, rect)
    top.bottom = inner.top
    bottom.top = inner.bottom
    (left.top, left.bottom, left.right) = (inner.top, inner.bottom, inner.left)
    (right.top, right.bottom, right.left) = (inner.top, inner.bottom, inner.right)
    for side in [top, bottom, left, right] { fill(side, colour, opacity: opacity) }
  }

  /// Writes one line of ASCII.
  ///
  /// - Parameters:
  ///   - line: what to write; what is not printable is left out as a gap.
  ///   - x: the left end of the line; may lie outside.
  ///   - y: the top of its capital letters; may lie outside.
  ///   - dot: the size of one dot of the font, in pixels; at least 1.
  ///   - colour: the ink.
  mutating func write(_ line: [UInt8], x: Double, y: Double, dot: Double, _ colour: Colour) {
    let radius = max(0.55 * dot, 0.6)
    for (index, code) in line.enumerated() {
      guard code >= Font.firstCode, Int(code - Font.firstCode) < Font.glyphs.count else { continue }
      let glyph = Font.glyphs[Int(code - Font.firstCode)]
      guard !glyph.strokes.isEmpty else { continue }
      // The centre of the first dot; a stroke reaches `radius` beyond the centres.
      let originX = x + (Double(index) * Font.advance + 0.5) * dot
      let originY = y + 0.5 * dot
      let rect = PixelRect(
        left: Int(originX - radius - 1),
        top: Int(originY - radius - 1),
        right: Int(originX + Double(Font.dotsAcross - 1) * dot + radius + 2),
        bottom: Int(originY + Double(Font.dotsDown - 1) * dot + radius + 2)
      ).clipped(to: bounds)
      guard rect.width > 0, rect.height > 0 else { continue }
      for py in rect.top..<rect.bottom {
        for px in rect.left..<rect.right {
          let distance = glyph.distance(
            x: (Double(px) + 0.5 - originX) / dot,
            y: (Double(py) + 0.5 - originY) / dot
          )
          let coverage = min(max(radius - distance * dot + 0.5, 0), 1)
          if coverage > 0 { blend(3 * (py * width + px), colour, Int(coverage * 256)) }
        }
      }
    }
  }

  private mutating func blend(_ offset: Int, _ colour: Colour, _ opacity: Int) {
    func mix(_ old: UInt8, _ new: UInt8) -> UInt8 {
      UInt8((Int(old) * (256 - opacity) + Int(new) * opacity) >> 8)
    }
    rgb[offset] = mix(rgb[offset], colour.red)
    rgb[offset + 1] = mix(rgb[offset + 1], colour.green)
    rgb[offset + 2] = mix(rgb[offset + 2], colour.blue)
  }
}
