import Messaging

/// Puts one question to a service, as often as it takes while the service is away.
struct PatientAsker: Sendable {
  let service: any AnswerService
  let availability: BatchAvailability

  /// The service's answer.
  ///
  /// - Parameters:
  ///   - attempts: counts how often it was asked again.
  ///   - request: the question, made for each try, since the time left for it shrinks; when it throws,
  ///     nothing is asked any more.
  /// - Returns: nil when there is nothing to wait for: cancelled, or given up.
  /// - Throws: the request's own failure, or the last one when it was lost too often.
  func answer(
    _ attempts: inout Int, _ request: () throws(Failure) -> AnswerRequest
  ) async throws(Failure) -> Answer? {
    var losses = 0
    var busyWait = Duration.milliseconds(20)
    while true {
      let isSuspect = losses >= JobLimits.suspectLossCount
      guard await availability.enter(isSuspect: isSuspect) else { return nil }
      defer { if isSuspect { availability.leave() } }
      let question: AnswerRequest
      do throws(Failure) { question = try request() } catch {
        // It may have been the one that goes to see whether the service is back.
        availability.noteNothing()
        throw error
      }
      let failure: Failure
      do throws(Failure) {
        let answer = try await service.answer(question)
        availability.noteAnswer()
        return answer
      } catch { failure = error }
      if Task.isCancelled {
        availability.noteNothing()
        return nil
      }
      guard let kind = BatchAvailability.kind(failure.code) else {
        availability.noteAnswer()
        throw failure
      }
      if kind == .lost { losses += 1 }
      availability.note(failure, kind)
      guard losses < JobLimits.lossCount else { throw failure }
      attempts += 1
      if kind == .busy {
        try? await Task.sleep(for: busyWait)
        busyWait = min(busyWait * 2, .seconds(1))
      }
    }
  }
}
