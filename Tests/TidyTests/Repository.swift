import Foundation

/// The files of the checkout that this test was built from, wherever it stands.
enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Paths below `folder`, relative to it, with one of the endings; sorted.
  static func files(under folder: String, endings: [String]) -> [String] {
    let all = FileManager.default.enumerator(atPath: root.appending(path: folder).path())
    return (all?.allObjects ?? []).compactMap { $0 as? String }
      .filter { path in endings.contains { path.hasSuffix($0) } }.sorted()
  }

  /// Names of the folders directly below `folder`.
  static func folders(under folder: String) -> [String] {
    let path = root.appending(path: folder).path()
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.filter { name in
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder)
      return isFolder.boolValue && !name.hasPrefix(".")
    }.sorted()
  }

  /// Everything written by hand, relative to the root; generated wire code is not.
  static let ownFiles: [String] = {
    let endings = [".swift", ".c", ".h", ".cpp", ".py", ".proto", ".sh"]
    let below = ["Sources", "Tests", "scripts", "proto"].flatMap { folder in
      files(under: folder, endings: endings).map { folder + "/" + $0 }
    }
    return (below + shellScripts + ["Package.swift"]).filter { !$0.contains(".pb-c.") }
  }()

  /// Scripts without an ending, directly in `scripts` and `.ci`.
  static let shellScripts: [String] = ["scripts", ".ci"].flatMap { folder in
    let path = root.appending(path: folder).path()
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.sorted().map { folder + "/" + $0 }.filter { path in
      (try? lines(path))?.first?.contains("bash") == true
    }
  }

  static func lines(_ path: String) throws -> [String] {
    let text = try String(contentsOf: root.appending(path: path), encoding: .utf8)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return lines.last == "" ? lines.dropLast() : lines
  }
}
