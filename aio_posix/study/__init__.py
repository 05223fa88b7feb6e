"""See how glibc's AIO works: a model of it, live processes, recordings, lessons, limits.

Each module imports only from those before it in this list. A folder stands for its modules.

  console                               text for a terminal
  limits                                what this system allows
  parts, model, script, picture         the model: moments, and scripts that make them
  replay                                moments of the model from what was seen of requests
  player, real_glibc, agree             the same scripts on real glibc, and whether both agree
  memory, inside, proc, ps, look        what a live process is doing
  raw, syscalls, uring, machine, chart  for lessons and measurements
  echoes, costs                         measurements
  trace                                 requests and threads of a program over time
  lessons, lesson, trial, guesses       the lessons, how one runs, what to change and to guess
  course, transcripts                   how all are shown
"""
