/* bartizan for C++17 and later: owners that move, callables as handlers, std::chrono, std::string_view, exceptions. Everything
 * is a thin layer over bartizan.h, whose documentation holds here too; keys, event kinds and other numbers are its macros.
 *
 *  - A call that fails throws bartizan::error, with the code and the words of the library. Only that the exchange is over is
 *    no exception where an answer is sent: those calls give false, since an answer that nobody waits for is nobody's loss.
 *  - No exception leaves a callback: what a handler throws becomes 500 (503 from an error of E_REFUSED or E_LIMIT), what other
 *    callbacks throw is swallowed.
 *  - A callable moves to the library and is destroyed by it, once, after its last call, on a thread of the library. Handlers
 *    and observers are called concurrently.
 *  - Threads, blocking and lifetimes are those of bartizan.h. What a request shows lives as long as an owner of the request.
 *  - get() lends the pointer or id of C. User data given through C does not come back through bartizan::queue. */
#ifndef BARTIZAN_HPP
#define BARTIZAN_HPP

#include "bartizan/config.hpp"
#include "bartizan/error.hpp"
#include "bartizan/fields.hpp"
#include "bartizan/queue.hpp"
#include "bartizan/request.hpp"
#include "bartizan/server.hpp"
#include "bartizan/tls.hpp"

#endif
