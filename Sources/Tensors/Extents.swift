/// The extents of a tensor's dimensions, in place: views of rows are made by the hundred in every step.
struct Extents: Sendable {
  private var values = InlineArray<8, Int>(repeating: 1)  // behind `rank` all are 1
  private(set) var rank = 0

  /// - Precondition: at most `Tensor.rankMaximum`.
  init(_ shape: [Int]) {
    precondition(shape.count <= Tensor.rankMaximum, "\(shape.count) dimensions")
    for extent in shape {
      values[rank] = extent
      rank += 1
    }
  }

  init(rows: Int, width: Int) {
    (values[0], values[1], rank) = (rows, width, 2)
  }

  /// The first extent; 1 of none.
  var first: Int {
    get { values[0] }
    set { (values[0], rank) = (newValue, max(rank, 1)) }
  }

  /// The product of all, outermost first: no larger than the bytes that were checked, whatever stands behind a 0.
  var count: Int {
    var product = 1
    for index in 0..<Tensor.rankMaximum { product *= values[index] }
    return product
  }

  /// The product of all but the first.
  var width: Int {
    var product = 1
    for index in 1..<Tensor.rankMaximum { product *= values[index] }
    return product
  }

  /// As an array, outermost first.
  var array: [Int] { (0..<rank).map { values[$0] } }
}
