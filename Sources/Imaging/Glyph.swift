/// One letter as strokes between the centres of dots; coordinates in dots, top left is (0, 0).
struct Glyph: Sendable {
  /// A line from (x0, y0) to (x1, y1); a single dot is a line of length 0.
  struct Stroke: Sendable {
    var x0, y0, x1, y1: Double

    func squaredDistance(x: Double, y: Double) -> Double {
      let (dx, dy) = (x1 - x0, y1 - y0)
      let length = dx * dx + dy * dy
      let along = length == 0 ? 0 : ((x - x0) * dx + (y - y0) * dy) / length
      let clamped = min(max(along, 0), 1)
      let (offX, offY) = (x - x0 - clamped * dx, y - y0 - clamped * dy)
      return offX * offX + offY * offY
    }
  }

  let strokes: [Stroke]

  /// Joins every dot to its neighbours: beside and below always, across a corner only when the
  /// corner itself is empty.
  init(rows: String) {
    let dots = rows.split(separator: " ").map { row in row.map { $0 == "#" } }
    func isSet(_ x: Int, _ y: Int) -> Bool {
      dots.indices.contains(y) && dots[y].indices.contains(x) && dots[y][x]
    }
    var strokes: [Stroke] = []
    for y in dots.indices {
      for x in dots[y].indices where dots[y][x] {
        let candidates = [
          (x + 1, y, true), (x, y + 1, true),
          (x + 1, y + 1, !isSet(x + 1, y) && !isSet(x, y + 1)),
          (x - 1, y + 1, !isSet(x - 1, y) && !isSet(x, y + 1)),
        ]
        strokes.append(Stroke(x0: Double(x), y0: Double(y), x1: Double(x), y1: Double(y)))
        for (toX, toY, isFree) in candidates where isFree && isSet(toX, toY) {
          strokes.append(Stroke(x0: Double(x), y0: Double(y), x1: Double(toX), y1: Double(toY)))
        }
      }
    }
    self.strokes = strokes
  }

  /// How far a point is from the nearest stroke, in dots.
  func distance(x: Double, y: Double) -> Double {
    strokes.reduce(.infinity) { min($0, $1.squaredDistance(x: x, y: y)) }.squareRoot()
  }
}
