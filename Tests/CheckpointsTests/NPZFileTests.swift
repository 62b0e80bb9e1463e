import Foundation
import Tensors
import Testing

@testable import Checkpoints

/// NumPy's archives: what `scripts/goldens/npz.py` wrote, and what nobody should have written.
@Suite struct NPZFileTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Fixtures")
  private static func path(_ name: String) -> String { folder.appending(path: name).path() }

  private func problem(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch { return (error as? CheckpointError)?.description ?? "\(type(of: error))" }
  }

  @Test(arguments: ["stored.npz", "deflated.npz"]) func readsWhatNumPyWrote(_ name: String) throws {
    let names: Set = ["f4", "turned", "f2", "u1", "i4", "i8", "none", "absent"]
    let file = try NPZFile(path: Self.path(name), names: names)
    #expect(Set(file.tensors.keys) == names.subtracting(["absent"]))
    let f4 = try #require(file.tensors["f4"])
    #expect(f4.shape == [2, 3, 4] && f4.elementType == .f32)
    #expect(f4.floats == (0..<24).map { Float($0) / 8 })
    let turned = try #require(file.tensors["turned"])
    #expect(turned.shape == f4.shape && turned.floats == f4.floats)
    #expect(file.tensors["f2"]?.convertedToF32()?.floats == [0.5, -2.25])
    let u1 = try #require(file.tensors["u1"])
    #expect(u1.shape == [2, 1] && u1.withBytes { Array($0) } == [1, 255])
    let i4 = try #require(file.tensors["i4"])
    #expect(i4.withBytes { Array($0.bindMemory(to: Int32.self)) } == [-7, 70_000])
    let i8 = try #require(file.tensors["i8"])
    #expect(i8.shape.isEmpty && i8.withBytes { $0.load(as: Int64.self) } == -(1 << 40))
    #expect(file.tensors["none"]?.shape == [0, 5])
  }

  @Test(arguments: ["f8", "big", "object"]) func otherElementsAreErrors(_ name: String) {
    let problem = problem { _ = try NPZFile(path: Self.path("stored.npz"), names: [name]) }
    #expect(problem?.contains("'\(name)' has") == true, "\(problem ?? "none")")
  }

  @Test func archivesThatAreNotReadSayWhy() throws {
    func problem(_ path: String) -> String {
      self.problem { _ = try NPZFile(path: path, names: ["f4"]) } ?? "none"
    }
    #expect(problem(Self.path("bzip2.npz")).contains("neither stored nor deflated"))
    #expect(problem(Self.path("bomb.npz")).contains("too large"))
    #expect(problem(Self.path("missing.npz")).contains("no such file"))
    #expect(problem(Self.folder.path()).contains("not a sound zip archive"))
    #expect(problem(#filePath).contains("not a sound zip archive"))
  }

  /// Every cut, and flips everywhere: a value or an error, and never other numbers.
  @Test(arguments: ["stored.npz", "deflated.npz"]) func damageIsSeen(_ name: String) throws {
    let whole = try Data(contentsOf: URL(filePath: Self.path(name)))
    let folder = try TemporaryFolder()
    let names: Set = ["f4", "turned"]
    let expected = try NPZFile(path: Self.path(name), names: names).tensors["f4"]?.floats
    var refused = 0
    func check(_ bytes: Data) throws {
      let path = try folder.write(bytes, as: "x.npz")
      guard let file = try? NPZFile(path: path, names: names) else {
        refused += 1
        return
      }
      // Names and times of the archive have no checksum; an array may be lost with its name.
      if let f4 = file.tensors["f4"], file.tensors["turned"] != nil {
        #expect(f4.floats == expected)
      }
    }
    for length in stride(from: 0, to: whole.count, by: 7) { try check(whole.prefix(length)) }
    var seeded = Seeded(3)
    for _ in 0..<400 {
      var bytes = whole
      bytes[Int.random(in: 0..<bytes.count, using: &seeded)] ^=
        1 << UInt8.random(in: 0...7, using: &seeded)
      try check(bytes)
    }
    #expect(refused > 100)
  }

  @Test func headersAreReadStrictly() throws {
    func npy(_ header: String, version: [UInt8] = [1, 0], length: Int? = nil) -> [UInt8] {
      let count = length ?? header.utf8.count
      let bytes = [UInt8(count & 255), UInt8(count >> 8)] + (version[0] == 1 ? [] : [0, 0])
      return [0x93] + Array("NUMPY".utf8) + version + bytes + Array(header.utf8)
    }
    func header(_ bytes: [UInt8]) -> NPYHeader? { try? NPYHeader(bytes) }
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n"
    #expect(header(npy(good))?.shape == [2, 3])
    #expect(header(npy(good, version: [2, 0]))?.byteOffset == 12 + good.utf8.count)
    #expect(header(npy(good.replacing(", }", with: "}")))?.shape == [2, 3])
    #expect(header(npy(good.replacing("(2, 3)", with: "()")))?.shape == [])
    #expect(header(npy(good.replacing("(2, 3)", with: "(5,)")))?.shape == [5])
    #expect(header(npy(good, version: [4, 0])) == nil)
    #expect(header(npy(good, length: good.utf8.count + 1)) == nil)
    #expect(header([0x93] + Array("NUMP".utf8)) == nil)
    #expect(header([0x93] + Array("NUMPY".utf8) + [2, 0, 1, 0]) == nil)
    for (old, new) in [
      ("<f4", ">f4"), ("<f4", "O"), ("'<f4'", "f()"), ("False", "0"), ("(2, 3)", "(2, -3)"),
      ("(2, 3)", "(2, 3"), ("(2, 3)", "(99999999999999999999)"), ("(2, 3)", "2"),
      ("'shape'", "'shap'"), ("'shape'", "'descr'"), ("{", ""), ("}", "} x"), (":", ""),
      ("(2, 3)", "(1,1,1,1,1,1,1,1,1)"), ("'shape'", "'x': True, 'shape'"),
    ] {
      #expect(header(npy(good.replacing(old, with: new))) == nil, "\(old) -> \(new)")
    }
    let huge = npy(good.replacing("(2, 3)", with: "(4611686018427387904, 4)"))
    #expect(throws: NPYHeader.Problem.self) { try NPZFile.tensor(huge) }
    #expect(throws: NPYHeader.Problem.self) { try NPZFile.tensor(npy(good) + [0, 0, 0]) }
  }
}
