"use strict";
// All parts of the page, and where they begin.

import { attempt, start } from "./core.js";
import "./review.js";
import "./easel.js";
import "./data.js";
import "./train.js";
import "./results.js";

attempt(start);
