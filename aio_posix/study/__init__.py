"""See how glibc's AIO works: a model of it, live processes, recordings, lessons, limits.

Which module may import which is in docs/design.md, and a test checks it. By subject they are:

  console, page                         text for a terminal; pages for a browser
  allowed, limits                       what this system allows
  parts, model, script, picture         the model: moments, and scripts that make them
  notation, plays, compare, play        the model to play with, in a browser
  player, real_glibc, agree             the same scripts on real glibc, and whether both agree
  observed, replay                      moments of the model from what was seen of requests
  memory, inside, queues, proc          facts about live processes
  reports, described, history, watch, ps    what these processes are doing, in words
  look, raw, syscalls, uring, machine, chart    for lessons and measurements
  echoes, costs                         measurements
  trace                                 requests and threads of a program over time
  lessons, lesson, course, transcripts  the lessons, how one runs, how all are shown
  guesses, trial                        what to guess before a lesson, and to change after it
"""
