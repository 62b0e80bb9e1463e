import Testing

/// The rules themselves: each must see what it is there to refuse.
@Suite struct RuleTests {
  @Test func importsAreSeen() {
    #expect(TidyTests.importedModule("import Tensors") == "Tensors")
    #expect(TidyTests.importedModule("@testable import PaliGemma") == "PaliGemma")
    #expect(TidyTests.importedModule("public import struct Tensors.Tensor") == "Tensors")
    #expect(TidyTests.importedModule("/// import Tensors") == nil)
    #expect(TidyTests.importedModule("let import = 1") == nil)
  }

  @Test func swiftFunctionsAreMeasured() {
    let text = """
      protocol P {
        func required(_ x: Int) -> Int
        init(y: Int)
      }
      struct S {
        /// func in words {
        public static func short() -> Int { 1 }
        private func long(
          a: Int
        ) throws -> Int {
          if a > 0 {
            return 1
          }
          return 2
        }
        init?(_ x: Int) {
          x
        }
      }
      """
    let sizes = FunctionSizes.swift(text.split(separator: "\n").map(String.init))
    #expect(sizes.map(\.line) == [8, 16])
    #expect(sizes.map(\.size) == [8, 3])
  }

  @Test func cFunctionsAreMeasured() {
    let text = """
      struct s {
        int x;
      };
      static int f(int a) {
        if (a) {
          return 1;
        }
        return 2;
      }
      """
    let sizes = FunctionSizes.c(text.split(separator: "\n").map(String.init))
    #expect(sizes.map(\.line) == [4])
    #expect(sizes.map(\.size) == [6])
  }

  @Test func theRepositoryIsFound() throws {
    #expect(Repository.files(under: "Sources", endings: [".swift"]).count > 50)
    #expect(Repository.ownFiles.contains("Sources/CKernels/matmul.c"))
    #expect(Repository.ownFiles.contains("scripts/test"))
    #expect(!Repository.ownFiles.contains { $0.contains(".pb-c.") })
  }
}
