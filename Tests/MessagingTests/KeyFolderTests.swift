import Foundation
import Messaging
import Testing

/// A new folder with a cluster's keys.
func newKeys() throws -> KeyFolder {
  let path = FileManager.default.temporaryDirectory.appending(
    path: "palisade-keys-" + UUID().uuidString.prefix(12)
  ).path()
  let folder = KeyFolder(path)
  try folder.make()
  return folder
}

@Suite struct KeyFolderTests {
  private func mode(_ path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
  }

  @Test func aNewFolderIsForItsOwnerOnly() throws {
    let old = umask(0)
    let folder = try newKeys()
    umask(old)
    #expect(mode(folder.path) == 0o700)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(files == ["allowed", "client.key", "coordinator.key", "worker.key"])
    for file in files { #expect(mode("\(folder.path)/\(file)") == 0o600, "\(file)") }
    let coordinator = try folder.key(for: .coordinator)
    let worker = try folder.key(for: .worker)
    #expect(worker.role == .worker && worker.coordinatorKey == coordinator.keys.publicKey)
    #expect(worker.keys != coordinator.keys)
    #expect(!"\(worker)".contains(worker.keys.secretKey))
    let list = try folder.allowList()
    #expect(list.entries.count == 2)
    #expect(list.entries[worker.keys.publicKey]?.role == .worker)
    #expect(!list.text.contains(worker.keys.secretKey))
    // Keys that are there are not made anew: that would lock everybody out.
    #expect(code { try folder.make() } == .addressInUse)
    #expect(try folder.key(for: .coordinator) == coordinator)
  }

  @Test func keysAreAddedListedAndRemoved() throws {
    let folder = try newKeys()
    let file = try folder.add(.worker, name: "gpu-1")
    #expect(mode(file) == 0o600)
    let key = try KeyFile(path: file)
    #expect(key.name == "gpu-1" && key.role == .worker)
    #expect(try folder.allowList().entries[key.keys.publicKey]?.name == "gpu-1")
    #expect(code { try folder.add(.client, name: "gpu-1") } == .addressInUse)
    for name in ["", "../x", ".x", "-x", "a b", "a/b", "ä", String(repeating: "x", count: 65)] {
      #expect(code { try folder.add(.client, name: name) } == .malformed, "\(name)")
      #expect(code { try folder.remove(name) } == .malformed, "\(name)")
    }
    #expect(code { try folder.add(.coordinator, name: "second") } == .malformed)
    try folder.remove("gpu-1")
    #expect(mode(file) == nil)
    #expect(try folder.allowList().entries.count == 2)
    #expect(code { try folder.remove("gpu-1") } == .malformed)
  }

  @Test(arguments: [0o604, 0o640, 0o620, 0o602, 0o666] as [mode_t])
  func filesThatOthersMayUseAreRefused(_ mode: mode_t) throws {
    let folder = try newKeys()
    for name in ["worker.key", "allowed"] { chmod("\(folder.path)/\(name)", mode) }
    #expect(code { try folder.key(for: .worker) } == .insecure)
    #expect(code { try folder.allowList() } == .insecure)
    #expect(code { try folder.add(.worker, name: "b") } == .insecure)
    for name in ["worker.key", "allowed"] { chmod("\(folder.path)/\(name)", 0o600) }
    #expect(code { try folder.key(for: .worker) } == nil)
    chmod(folder.path, 0o700 | (mode & 0o077))
    #expect(code { try folder.key(for: .worker) } == .insecure)
  }

  @Test(.enabled(if: geteuid() == 0, "only root can give a file away"))
  func filesOfSomebodyElseAreRefused() throws {
    let folder = try newKeys()
    chown(folder.file("worker"), 12345, 12345)
    #expect(code { try KeyFile(path: folder.file("worker")) } == .insecure)
  }

  @Test func whatIsNoKeyFileIsRefused() throws {
    let folder = try newKeys()
    let path = folder.file("worker")
    let good = try String(contentsOfFile: path, encoding: .utf8)
    let other = try CurveKeyPair.generate()
    let worker = try folder.key(for: .worker)
    for text in [
      "", "role worker\n", good + good, good.replacing("role worker", with: "role king"),
      good.replacing(worker.keys.secretKey, with: "short"), good.replacing("public ", with: ""),
      // Halves of two pairs.
      good.replacing(worker.keys.secretKey, with: other.secretKey),
    ] {
      try Data(text.utf8).write(to: URL(filePath: path))
      #expect(code { try KeyFile(path: path) } == .malformed)
    }
    try Data(count: MessageLimits.keyFileByteCount + 1).write(to: URL(filePath: path))
    #expect(code { try KeyFile(path: path) } == .insecure)
    #expect(code { try KeyFile(path: folder.path) } == .insecure)
    #expect(code { try KeyFile(path: path + ".not") } == .system(ENOENT))
    #expect(code { try AllowList(text: "worker a\n") } == .malformed)
    #expect(
      code { try AllowList(text: "worker a \(String(repeating: "~", count: 40))\n") } == .malformed)
    #expect(code { try AllowList(text: "king a \(other.publicKey)\n") } == .malformed)
  }
}
