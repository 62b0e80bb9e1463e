/// Colours for the labels of one picture.
///
/// A label's colour depends on its text alone, the same in every picture and run, unless another
/// label of the same picture already has it.
struct Palette {
  /// Twelve colours that are told apart at a glance, also side by side on a photograph.
  static let colours: [Colour] = [
    Colour(red: 230, green: 57, blue: 70),  // red
    Colour(red: 46, green: 196, blue: 100),  // green
    Colour(red: 52, green: 120, blue: 246),  // blue
    Colour(red: 255, green: 200, blue: 20),  // yellow
    Colour(red: 245, green: 120, blue: 20),  // orange
    Colour(red: 150, green: 70, blue: 220),  // purple
    Colour(red: 30, green: 200, blue: 220),  // cyan
    Colour(red: 240, green: 60, blue: 180),  // magenta
    Colour(red: 170, green: 220, blue: 30),  // lime
    Colour(red: 140, green: 90, blue: 50),  // brown
    Colour(red: 255, green: 160, blue: 170),  // pink
    Colour(red: 20, green: 160, blue: 150),  // teal
  ]

  private var indices: [String: Int] = [:]

  init(labels: [String]) {
    var isTaken = [Bool](repeating: false, count: Self.colours.count)
    for label in labels where indices[label] == nil {
      let start = Self.hashed(label)
      let steps = (0..<Self.colours.count).map { (start + $0) % Self.colours.count }
      let index = steps.first { !isTaken[$0] } ?? start
      isTaken[index] = true
      indices[label] = index
    }
  }

  func colour(of label: String) -> Colour {
    Self.colours[indices[label] ?? Self.hashed(label)]
  }

  /// FNV-1a; Swift's own hash differs from run to run.
  private static func hashed(_ label: String) -> Int {
    let value = label.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
    return Int(value % UInt32(colours.count))
  }
}
