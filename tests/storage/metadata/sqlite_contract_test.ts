import { testContract } from "./contract.ts";
import { testAgainstModel } from "./model.ts";
import { sqliteForm } from "./sqlite_form.ts";

testContract(sqliteForm);
testAgainstModel(sqliteForm, 60);
